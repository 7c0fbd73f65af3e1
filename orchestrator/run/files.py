"""Which files a run reads and writes, and under which names."""

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tensorhop.errors import InvalidInput
from tensorhop.values.geometry import Box

if TYPE_CHECKING:
    from tensorhop.values.results import Detection

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".mpo"}
STDIN = "-"
TEMPLATE = "{stem}-{index}"  # and the suffix of the format
FORMATS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}  # by suffix


class WrongUse(ValueError):
    """The command line asks for something that cannot be."""


@dataclass(frozen=True)
class Input:
    """One photo to process."""

    name: str  # as the user wrote it
    stem: str  # of the files that are written for it; different for every input
    path: Path | None = None  # where the file is, if the name alone does not say so

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            OSError: it cannot be read.
            InvalidInput: it has more bytes than a message may have.
        """
        from tensorhop.settings import current_settings

        most = current_settings().max_message_bytes
        try:
            with standard_input() if self.path is None and self.name == STDIN else self._open() as file:
                data = file.read(most + 1)
        except ValueError as error:  # a null character
            raise FileNotFoundError(f"{self.name!r} is no path: {error}") from error
        if len(data) > most:
            raise InvalidInput("image", f"has more than {most:,} bytes; that is the most")
        return data

    def _open(self) -> BinaryIO:
        return (self.path or Path(self.name)).open("rb")


def standard_input() -> BinaryIO:
    """A reader of its own: a thread that waits in `sys.stdin` would hold up the end of the process."""
    return open(0, "rb", closefd=False)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: under another name beside it, which is then renamed. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.resolve()  # a link stays one
    if path.exists() and not path.is_file():  # a pipe or a device
        path.write_bytes(data)
        return
    part = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_writable(folder: Path, option: str) -> None:
    """Raises WrongUse: files cannot be written into the folder, or it cannot be made."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise WrongUse(f"{option} {folder} cannot be written: {place} is not a directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise WrongUse(f"{option} {folder} cannot be written: {place} may not be changed")


def find_inputs(names: Sequence[str], recursive: bool, out: str = "") -> list[Input]:
    """The photos that the names stand for: files, the images in directories, "-" for standard input.

    What an earlier run wrote to a directory `out` inside of one of them is left out.

    Raises:
        WrongUse: a directory without an image, or standard input named twice.
    """
    if names.count(STDIN) > 1:
        raise WrongUse("- (standard input) can be read only once")
    inputs: list[Input] = []
    taken: set[str] = set()
    for name in (found for given in names for found in expand(given, recursive, out)):
        plain = "stdin" if name == STDIN else Path(name).stem
        stem, number = plain, 1
        while stem.casefold() in taken:  # some file systems ignore case
            number += 1
            stem = f"{plain}~{number}"
        taken.add(stem.casefold())
        inputs.append(Input(name, stem))
    return inputs


def expand(name: str, recursive: bool, out: str = "") -> Iterator[str]:
    """The name itself, or the images in the directory that it names, in order."""
    folder = Path(name)
    if name == STDIN or not folder.is_dir():
        yield name
        return
    paths = folder.rglob("*") if recursive else folder.iterdir()
    own = Path(out).resolve() if out and folder.resolve() in Path(out).resolve().parents else None
    images = sorted(
        str(path)
        for path in paths
        if path.suffix.lower() in SUFFIXES and path.is_file() and own not in path.resolve().parents
    )
    if not images:
        raise WrongUse(f"{name} holds no image{'' if recursive else '; --recursive looks into its folders'}")
    yield from images


def check_template(template: str) -> None:
    """Raises WrongUse: a template that cannot be filled in, or that gives two objects one name."""
    from tensorhop.values.results import Detection

    samples = [(stem, index) for stem in ("a", "b", "a1", "a-1", "1a") for index in (0, 1, 10, 11)]
    names = {fill(template, stem, Detection(index, "label", 0, 0.5, Box(0, 0, 1, 1))) for stem, index in samples}
    if len(names) < len(samples):
        raise WrongUse(f"--name {template!r} gives several objects one name; use {{stem}} and {{index}}, set apart")
    name = Path(names.pop())
    if name.suffix.lower() not in FORMATS:
        raise WrongUse(f"--name {template!r} does not end in {', '.join(FORMATS)}")
    if name.is_absolute() or ".." in name.parts:
        raise WrongUse(f"--name {template!r} leaves the output directory")


def suffix_of(encoding: str) -> str:
    """Of the files of an encoding: ".jpg" of jpeg."""
    return next(suffix for suffix, known in FORMATS.items() if known == encoding)


def encoding_of(path: str, option: str, given: str | None) -> str:
    """The encoding that a file's name asks for.

    Raises:
        WrongUse: the suffix is not known, or the caller has given another encoding.
    """
    encoding = FORMATS.get(Path(path).suffix.lower())
    if encoding is None:
        raise WrongUse(f"{option} {path} does not end in {', '.join(FORMATS)}; a directory has no suffix")
    if given not in (None, encoding):
        raise WrongUse(f"{option} {path} is a file of {encoding}, and --format is {given}")
    return encoding


def fill(template: str, stem: str, detection: "Detection") -> str:
    """The template with {stem}, {index}, {label} and {score} filled in."""
    label = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in detection.label)[:60]
    try:
        return template.format(stem=stem, index=detection.index, label=label, score=detection.score)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        known = "{stem}, {index}, {label} and {score}"
        raise WrongUse(f"--name {template!r} cannot be filled in: {error}; known are {known}") from error

"""Which files a run reads and writes, and under which names."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensorhop.geometry import Box
from tensorhop.results import Detection

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

    def read(self) -> bytes:
        """The file's bytes. Raises OSError."""
        return sys.stdin.buffer.read() if self.name == STDIN else Path(self.name).read_bytes()


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
    samples = [(stem, index) for stem in ("a", "b", "a1", "a-1") for index in (0, 1, 10)]
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


def fill(template: str, stem: str, detection: Detection) -> str:
    """The template with {stem}, {index}, {label} and {score} filled in."""
    label = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in detection.label)[:60]
    try:
        return template.format(stem=stem, index=detection.index, label=label, score=detection.score)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        known = "{stem}, {index}, {label} and {score}"
        raise WrongUse(f"--name {template!r} cannot be filled in: {error}; known are {known}") from error

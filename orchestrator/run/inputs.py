"""Which photos a run reads: files, those in directories, standard input; and what of a directory it leaves out."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.own_files import find_results

STDIN = "-"
SHOWN = 3  # names of what was left out, for each reason
# Why a file of a directory is left out, for people; the keys are for programs.
HIDDEN, RESULT, KIND, FORMAT, FOLDER = "hidden", "result", "kind", "format", "folder"
REASONS = {
    HIDDEN: "hidden",
    RESULT: "of an earlier run",
    KIND: "of other kinds",
    FORMAT: "in formats that are not readable here",
    FOLDER: "folders that are links or cannot be read",
}


@dataclass(frozen=True)
class Input:
    """One photo to process."""

    name: str  # as the user wrote it
    stem: str  # of the files that are written for it; different for every input of a folder
    path: Path | None = None  # where the file is, if the name alone does not say so
    folder: str = ""  # of the files that are written for it, below the output directory
    words: Mapping[str, str] = field(default_factory=dict)  # what templates may name, see `words_of`

    @property
    def file(self) -> Path | None:
        """Where the file is; None for standard input."""
        return None if self.path is None and self.name == STDIN else self.path or Path(self.name)

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            OSError: it cannot be read.
            InvalidInput: it has more bytes than a message may have.
        """
        from tensorhop.settings import current_settings

        most = current_settings().max_message_bytes
        try:
            with standard_input() if self.file is None else self.file.open("rb") as file:
                data = file.read(most + 1)
        except ValueError as error:  # a null character
            raise FileNotFoundError(f"{self.name!r} is no path: {error}") from error
        if len(data) > most:
            raise InvalidInput("image", f"has more than {most:,} bytes; that is the most")
        return data


def standard_input() -> BinaryIO:
    """A reader of its own: a thread that waits in `sys.stdin` would hold up the end of the process."""
    return open(0, "rb", closefd=False)


@dataclass
class LeftOut:
    """Files of directories that a run does not read, by reason."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, path: Path) -> None:
        self.names[reason].append(str(path))

    def text(self) -> str:
        """Such as "2 hidden (.a.jpg, .b.jpg), 1 of other kinds (notes.txt)"; "" for nothing."""
        parts = []
        for reason, words in REASONS.items():
            if names := [Path(name).name for name in self.names.get(reason, ())]:
                more = ", ..." if len(names) > SHOWN else ""
                parts.append(f"{len(names):,} {words} ({', '.join(names[:SHOWN])}{more}){needs(reason, names)}")
        return ", ".join(parts)


def needs(reason: str, names: Sequence[str]) -> str:
    """What would read the files that are left out for their format: ": .heic needs the package pillow-heif"."""
    if reason != FORMAT:
        return ""
    from tensorhop.values.images.formats import missing_for

    suffixes = sorted({Path(name).suffix.lower() for name in names})
    return ": " + ", ".join(f"{suffix} needs {missing_for(suffix)}" for suffix in suffixes)


def find_inputs(names: Sequence[str], recursive: bool, template: str | None = None) -> tuple[list[Input], LeftOut]:
    """The photos that the names stand for: files, the images in directories, "-" for standard input; each once.

    The name of a photo's files depends on the photo alone: on its name, and on its folder below a directory that is
    looked into with `recursive`.

    Args:
        template: of the files' names; it says which words of a photo's path their stem has.

    Raises:
        WrongUse: an empty name, a directory without an image or that cannot be read, or standard input named twice.
    """
    if names.count(STDIN) > 1:
        raise WrongUse("- (standard input) can be read only once")
    left_out = LeftOut()
    seen: set[object] = set()
    inputs: list[Input] = []
    for given in names:
        for name, folder in expand(given, recursive, left_out):
            place = name if name == STDIN else (os.path.realpath(Path(name).parent), Path(name).name, folder)
            if place not in seen:
                seen.add(place)
                words = words_of("stdin" if name == STDIN else name)
                inputs.append(Input(name, stem_of(words, template), folder=folder, words=words))
    return inputs, left_out


def words_of(name: str, prefix: str = "") -> dict[str, str]:
    """What a template may name of a photo's path: {stem}, {file} with its suffix, and the {folder} that it is in."""
    path = Path(name)
    return {
        "stem": prefix + path.stem,
        "file": prefix + path.name,
        "folder": path.absolute().parent.name,
    }


def stem_of(words: Mapping[str, str], template: str | None) -> str:
    """The stem of files that no template names: the photo's, or its whole name or folder where the template has it."""
    template = template or ""
    stem = words["file"] if "{file" in template else words["stem"]
    return f"{words['folder']}-{stem}" if "{folder" in template else stem


def expand(name: str, recursive: bool, left_out: LeftOut) -> list[tuple[str, str]]:
    """The name itself, or the images in the directory that it names, in order; each with its folder below that.

    Everything else in the directory is added to `left_out`, with the reason.
    """
    if name == "":
        raise WrongUse("an IMAGE is empty; the current folder is .")
    if name == STDIN or not Path(name).is_dir():
        return [(name, "")]
    found = sorted(walk(Path(name), recursive, left_out))
    if not found:
        left = left_out.text()
        more = "" if recursive else "; --recursive looks into its folders"
        raise WrongUse(f"{name} holds no image{more}" + (f"; left out: {left}" if left else ""))
    return [(str(path), folder) for path, folder in found]


def walk(top: Path, recursive: bool, left_out: LeftOut) -> list[tuple[Path, str]]:
    """The images in a directory, each with its folder below the directory. Raises WrongUse: it cannot be read."""

    def unreadable(error: OSError) -> None:
        if error.filename == str(top):
            raise WrongUse(f"{top} cannot be read: {error.strerror}") from error
        left_out.add(FOLDER, Path(error.filename))

    images: list[Path] = []
    results: set[Path] = set()
    for here, folders, files in os.walk(top, onerror=unreadable):
        folder = Path(here)
        results |= find_results(folder, files)
        images += [folder / name for name in files]
        kept = []
        for name in sorted(folders) if recursive else ():
            if name.startswith("."):
                left_out.add(HIDDEN, folder / name)
            elif (folder / name).is_symlink():  # it may lead back
                left_out.add(FOLDER, folder / name)
            else:
                kept.append(name)
        folders[:] = kept
    found = []
    for path in sorted(images):
        if reason := reason_to_leave(path, results):
            left_out.add(reason, path)
        else:
            inner = path.parent.relative_to(top).as_posix()
            found.append((path, "" if inner == "." else inner))
    return found


def reason_to_leave(path: Path, results: set[Path]) -> str:
    """Why a file is not read as a photo; "" for a photo. A broken link counts as one, and fails when it is read."""
    from tensorhop.values.images.formats import missing_for, readable_suffixes

    if path in results:
        return RESULT
    if path.name.startswith("."):
        return HIDDEN
    regular = path.is_file() or not path.exists()
    if regular and path.suffix.lower() in readable_suffixes():
        return ""
    return FORMAT if regular and missing_for(path.suffix) else KIND

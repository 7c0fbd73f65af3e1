"""The names of the files that a run writes."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tensorhop.files import FORMATS
from tensorhop.values.geometry import Box

if TYPE_CHECKING:
    from tensorhop.values.results import Detection

TEMPLATE = "{stem}-{index}"  # and the suffix of the format
MAX_LABEL = 60  # bytes of a label in a name
NAME_MAX, PATH_MAX = 255, 4096  # bytes, where the system does not say


class WrongUse(ValueError):
    """The command line asks for something that cannot be."""


def check_writable(folder: Path, option: str) -> None:
    """Raises WrongUse: files cannot be written into the folder, or it cannot be made."""
    place = existing(folder)
    if not place.is_dir():
        raise WrongUse(f"{option} {folder} cannot be written: {place} is not a directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise WrongUse(f"{option} {folder} cannot be written: {place} may not be changed")


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def wrong_name(folder: Path, name: str) -> str:
    """Why a file of that name, which may have folders, cannot be written into the folder; "" if it can.

    Each part of it has to fit the file system, in bytes, and it has to stay inside the folder, through links too.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name:
        return f"{name!r} leaves {folder}"
    if len(parts) > 1 and not (folder / name).parent.resolve().is_relative_to(folder.resolve()):
        return f"{name!r} leaves {folder}, by a link"
    most_name, most_path = limits(existing(folder))
    for part in parts:
        if (size := len(os.fsencode(part))) > most_name:
            return f"the file name {part!r} has {size} bytes; at most {most_name} are possible there"
    if (size := len(os.fsencode(folder.absolute() / name))) >= most_path:
        return f"the path of {name!r} has {size} bytes; at most {most_path - 1} are possible there"
    return ""


@lru_cache(1000)
def limits(folder: Path) -> tuple[int, int]:
    """Longest name and path, in bytes, in a folder that is there."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX"), os.pathconf(folder, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):
        return NAME_MAX, PATH_MAX


@lru_cache(1000)
def check_template(template: str) -> None:
    """Raises WrongUse: a template that cannot be filled in, or that gives two objects one name."""
    from tensorhop.values.results import Detection

    samples = [(stem, index) for stem in ("a", "b", "a1", "a-1", "1a") for index in (0, 1, 10, 11)]
    names = {fill(template, stem, Detection(index, "label", 0, 0.5, Box(0, 0, 1, 1))) for stem, index in samples}
    if len(names) < len(samples):
        raise WrongUse(
            f"--name {template!r} gives several objects one name; use {{stem}} or {{file}}, and {{index}}, set apart"
        )
    name = Path(names.pop())
    if name.suffix.lower() not in FORMATS:
        raise WrongUse(f"--name {template!r} does not end in {', '.join(FORMATS)}")
    if name.is_absolute() or ".." in name.parts:
        raise WrongUse(f"--name {template!r} leaves the output directory")


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


def fill(template: str, stem: str, detection: "Detection", words: Mapping[str, str] | None = None) -> str:
    """The template with {folder}, {file}, {stem}, {index}, {label} and {score} filled in.

    Args:
        stem: of the photo.
        words: {folder}, {file} and {stem}, where they are known better.
    """
    label = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in detection.label)
    label = label.encode(errors="replace")[:MAX_LABEL].decode(errors="ignore").strip() or "_"
    known = {"stem": stem, "file": stem, "folder": "folder"} | dict(words or {})
    try:
        return template.format(**known, index=detection.index, label=label, score=detection.score)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        words_known = "{folder}, {file}, {stem}, {index}, {label} and {score}"
        raise WrongUse(f"--name {template!r} cannot be filled in: {error}; known are {words_known}") from error

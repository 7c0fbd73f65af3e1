"""Which files in a folder are a run's own: those that a report names, with the digest of what was written.

A report is a JSON file that begins with the key "tensorhop". While a photo's files are being written, a hidden report
beside it names them, so that they are known again after the process was killed.
"""

import errno
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from blake3 import blake3

from tensorhop.files import CannotWrite, Identity, identity, write_file
from tensorhop.orchestrator.run.files import wrong_name

MARKER, SCHEMA = "tensorhop", 1
HEAD = re.compile(rb'\s*\{\s*"%s"\s*:\s*\{' % MARKER.encode())  # how a report begins
HEAD_BYTES = 64  # of a file, in which that is looked for
RESULTS_HEAD = f'{{"{MARKER}": '.encode()  # how each line of a manifest's results begins
REFUSED = "is there, and no earlier run wrote it{}; choose another --out or --name, or --overwrite"
REFUSED_SINGLE = "is there, and one file alone does not tell who wrote it; choose another --out, or --overwrite"


class NotOurs(CannotWrite):
    """A file is in the way that this run may not replace."""


@dataclass
class Rights:
    """What a run may do with files that are there."""

    overwrite: bool = False  # replace those that no run wrote
    reads: set[Identity] = field(default_factory=set)  # what the run reads: never replaced, never removed

    def read(self, path: Path) -> None:
        """Remember that the run reads a file."""
        if found := identity(path):
            self.reads.add(found)

    def check(self, path: Path, ours: bool = False, why: str = "") -> None:
        """Raises NotOurs: the file is there and may not be replaced.

        Args:
            ours: whether an earlier run wrote it for the same purpose.
            why: what to say if it is not.
        """
        if not os.path.lexists(path):
            return
        if identity(path) in self.reads:
            raise NotOurs(errno.EEXIST, "is one of the files that this run reads; choose another --out", str(path))
        if path.is_dir():
            raise NotOurs(errno.EISDIR, "is a directory, and a file is to be written there", str(path))
        if not ours and not self.overwrite:
            raise NotOurs(errno.EEXIST, why or REFUSED.format(""), str(path))


class PhotoFiles:
    """The files of one photo in a folder: those that earlier runs wrote, and those that this one writes.

    Before the first file of this run is written, nothing changes. Then the earlier ones go.

    Args:
        report: name of the report.
        photo: the photo's file; None for standard input.
    """

    def __init__(self, folder: Path, report: str, photo: Path | None, rights: Rights) -> None:
        self.folder, self.report, self.photo, self.rights = folder, report, photo, rights
        self.journal = f".{Path(report).stem}.part.json"
        self.owner = ""  # the photo that the report is of, if it is another one
        self.earlier: dict[str, str | None] = {}  # name: digest, None if it is not known what was written
        self.written: dict[str, str] = {}  # by this run
        self.coming: set[str] = set()  # names that the hidden report has
        self.begun = False
        for name in (report, self.journal):
            marked = read_marked(folder / name)
            if marked is None:
                continue
            if not self.same_photo(marked) and not rights.overwrite:
                self.owner = str(marked[MARKER].get("photo"))
                continue
            self.earlier |= names_of(marked) | {name: None}
        self.unfinished = self.journal in self.earlier  # an earlier run was killed

    def same_photo(self, marked: Mapping[str, Any]) -> bool:
        """Whether a report is of this photo: of a file at the same place, or with the same bytes."""
        photo: object = marked[MARKER].get("photo")
        if self.photo is None or not isinstance(photo, str):
            return photo == "-"
        there = self.folder / photo
        if any(path(there) == path(self.photo) for path in (os.path.abspath, os.path.realpath)):
            return True
        digest = file_digest(self.photo)
        return digest is not None and marked.get("digest") == digest

    def owns(self, name: str) -> bool:
        """Whether an earlier run, or this one, wrote the file as it is now."""
        known = self.earlier | self.written
        return name in known and is_unchanged(self.folder / name, known[name])

    def check(self, names: Iterable[str]) -> None:
        """Raises NotOurs: one of the files is there, and may not be replaced."""
        for name in (*names, self.journal):
            path = self.folder / name
            if os.path.lexists(path):
                changed = " as it is now" if name in self.earlier else ""
                other = f" for this photo: {self.report} is of {self.owner}" if self.owner else changed
                self.rights.check(path, self.owns(name), REFUSED.format(other))

    def write(self, name: str, content: bytes, coming: Collection[str] = ()) -> Path:
        """Write a file of this run.

        Args:
            coming: names of files that will follow, as far as they are known.

        Raises:
            CannotWrite: it cannot be written, would not stay in the folder, or NotOurs.
        """
        path = self.folder / name
        if wrong := wrong_name(self.folder, name):
            raise CannotWrite(errno.EINVAL, wrong, str(path))
        self.check([name])
        if name not in self.coming:
            self.note({*coming, name})
        write_file(path, content, replace=self.rights.overwrite or self.owns(name), follow=False)
        self.written[name] = blake3(content).hexdigest()
        if not self.begun:
            self.begin()
        return path

    def note(self, coming: Collection[str]) -> None:
        """Name files that are going to be written in the hidden report."""
        self.coming |= set(coming)
        names = self.earlier | dict.fromkeys(self.coming) | self.written
        write_file(self.folder / self.journal, report_bytes(self.marked(names, {})), follow=False)
        self.earlier[self.journal] = None

    def begin(self) -> None:
        """Remove what earlier runs wrote, but for what this run has replaced."""
        self.begun = True
        for name in self.earlier.keys() - self.written.keys() - {self.journal}:
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file that an earlier run wrote, if it is still that, and its folder if nothing else is in it."""
        path = self.folder / name
        if not os.path.lexists(path) or identity(path) in self.rights.reads or path.is_dir() or not self.owns(name):
            return
        path.unlink()
        for folder in path.parents[: len(Path(name).parts) - 1]:
            try:
                folder.rmdir()
            except OSError:  # something else is in it
                return

    def finish(self, report: dict[str, Any]) -> None:
        """Write the report, which begins with the names and digests of the files, as the last file."""
        if not self.begun:
            self.begin()
        self.check([self.report])
        content = report_bytes(self.marked(self.written, report))
        replace = self.rights.overwrite or self.owns(self.report)
        write_file(self.path, content, replace=replace, follow=False)
        (self.folder / self.journal).unlink(missing_ok=True)

    def fail(self, report: dict[str, Any]) -> None:
        """Write the report of a photo that failed. Where nothing has been written yet, leave everything as it was."""
        try:
            if self.begun:
                self.finish(report)
            elif self.coming and not self.unfinished:
                (self.folder / self.journal).unlink(missing_ok=True)
        except OSError:  # the hidden report stays, so that the files are known again
            pass

    @property
    def path(self) -> Path:
        """Of the report."""
        return self.folder / self.report

    def kept(self) -> list[str]:
        """Names of the files of an earlier run that are still there, if this one has written none."""
        files = self.earlier.keys() - {self.journal, self.report}
        return [] if self.begun else sorted(name for name in files if (self.folder / name).is_file())

    def marked(self, names: Mapping[str, str | None], report: Mapping[str, Any]) -> dict[str, Any]:
        photo = "-" if self.photo is None else os.path.relpath(self.photo, self.folder)
        return {MARKER: {"schema": SCHEMA, "photo": photo, "written": dict(names)}, **report}


def report_bytes(report: Mapping[str, Any]) -> bytes:
    return (json.dumps(report, indent=2) + "\n").encode()


def read_marked(path: Path) -> dict[str, Any] | None:
    """A report of a run; None if there is none, or the file is something else."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            found = json.loads(head + file.read()) if HEAD.match(head) else None
        return found if found and isinstance(found[MARKER].get("written"), dict) else None
    except (OSError, ValueError, RecursionError):
        return None


def names_of(marked: Mapping[str, Any]) -> dict[str, str | None]:
    """Names and digests of the files that a report names; a name that leaves its folder is not believed."""
    written = marked[MARKER]["written"].items()
    return {name: digest for name, digest in written if not {"", ".", ".."} & set(name.split("/"))}


def find_results(folder: Path, files: Collection[str]) -> set[Path]:
    """Which files earlier runs wrote, as the reports among the files of a folder say; and these reports.

    A file that was changed since then is not one of them.
    """
    results: set[Path] = set()
    for name in files:
        path = folder / name
        if name.endswith(".json") and (marked := read_marked(path)):
            results.add(path)
            results |= {folder / one for one, digest in names_of(marked).items() if is_unchanged(folder / one, digest)}
        elif name.endswith(".jsonl") and are_results(path):
            results.add(path)
    return results


def is_unchanged(path: Path, digest: str | None) -> bool:
    """Whether a file is still what a report says; where it says no digest, that is believed."""
    return digest is None or digest == file_digest(path)


def are_results(path: Path) -> bool:
    """Whether a file is the results of a manifest, line for line; an empty one is, too."""
    try:
        with path.open("rb") as file:
            return all(line.startswith(RESULTS_HEAD) for line in file)
    except OSError:
        return False


def file_digest(path: Path) -> str | None:
    """BLAKE3 of a file; None if it cannot be read, or is none."""
    try:
        found = path.stat()
        return digest_of(path, found.st_size, found.st_mtime_ns, found.st_ino) if path.is_file() else None
    except OSError:
        return None


@lru_cache(100_000)
def digest_of(path: Path, size: int, changed: int, number: int) -> str:
    with path.open("rb") as file:
        digest = blake3()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

"""Picture files: their suffixes, which file is behind a path, and how a file is written whole or not at all."""

import errno
import os
import threading
from pathlib import Path

FORMATS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}  # by suffix
DISK_ENDS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # no other file can be written either
Identity = tuple[int, int]  # of a file: its device and its number there


class CannotWrite(OSError):
    """A file cannot be written on this machine. Takes errno, the reason and the path, as OSError does."""

    @property
    def ends_run(self) -> bool:
        """Whether the disk takes no other file either: it is full, over a quota, read-only or broken."""
        return self.errno in DISK_ENDS


def write_file(path: Path, data: bytes, replace: bool = True, follow: bool = True) -> None:
    """Write a file whole or not at all: under another name beside it, which is then renamed.

    Args:
        replace: whether a file of that name may be there.
        follow: of a link, replace the file that it leads to, and write into a pipe or a device; else replace the link.

    Raises:
        CannotWrite: it cannot be written, or it is there and may not be replaced.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if replace and follow:
            path = path.resolve()
            if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device
                path.write_bytes(data)
                return
        part = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            part.write_bytes(data)
            if replace:
                part.replace(path)
            else:
                rename_new(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(path)) from error


def rename_new(part: Path, path: Path) -> None:
    """Rename a file to a name that is free, even if another process takes that name at this moment.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        part.replace(path)


def suffix_of(encoding: str) -> str:
    """Of the files of an encoding: ".jpg" of jpeg."""
    return next(suffix for suffix, known in FORMATS.items() if known == encoding)


def identity(path: Path) -> Identity | None:
    """The file behind a path, whatever its name; None if it cannot be told."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino

"""Where the pictures of an answer go: into the answer, or to files under the folder that the operator allows."""

import base64
import errno
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.files import CannotWrite, Identity, identity, suffix_of, write_file
from tensorhop.settings import current_settings
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.values.dtypes import dtype_name
from tensorhop.values.encoding import encode_opaque
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output
from tensorhop.web.accept import PICTURES

CODES = {  # of what a disk refuses; all else is INTERNAL
    errno.EEXIST: pb.CODE_ALREADY_EXISTS,
    errno.ENOSPC: pb.CODE_RESOURCE_EXHAUSTED,
    errno.EDQUOT: pb.CODE_RESOURCE_EXHAUSTED,
    errno.EACCES: pb.CODE_PERMISSION_DENIED,
    errno.EPERM: pb.CODE_PERMISSION_DENIED,
    errno.EROFS: pb.CODE_PERMISSION_DENIED,
    errno.EISDIR: pb.CODE_INVALID_ARGUMENT,
    errno.ENOTDIR: pb.CODE_INVALID_ARGUMENT,
    errno.ENAMETOOLONG: pb.CODE_INVALID_ARGUMENT,
}


@dataclass
class Destination:
    """Where pictures go, and as what.

    Args:
        output: their format; "tensor" for pixels.
        folder, path: of files, as the caller named them; both empty for pictures inside the answer.
        overwrite: whether files that are there are replaced.
        reads: the files that the request reads, which are never replaced.
        inline: whether pictures inside the answer go into its JSON; else they are kept as they are.
    """

    output: Output
    folder: str = ""
    path: str = ""
    overwrite: bool = False
    reads: Collection[Identity] = ()
    inline: bool = True
    _size: int = 0  # bytes inside the answer so far

    @property
    def field(self) -> str:
        """The parameter by which files are asked for; "" if none are."""
        return "output_path" if self.path else "output_dir" if self.folder else ""

    def named(self, name: str) -> str:
        """The path of a picture's file, as the caller would name it.

        Args:
            name: without a suffix.
        """
        return self.path or str(Path(self.folder, f"{name}{suffix_of(self.output.encoding)}"))

    def check(self, name: str) -> None:
        """Look for what forbids a picture's file, before any work.

        Raises:
            InvalidInput: as `allowed_file` does, or the file is one that the request reads.
            ServiceFault: it is there, and is not to be replaced.
        """
        if self.field:
            self._check(self.named(name))

    def _check(self, named: str) -> Path:
        path = allowed_file(named, self.field)
        if not lexists(path):
            return path
        if identity(path) in self.reads:
            raise InvalidInput(self.field, f"would replace {named}, which the request reads; choose another place")
        if path.is_dir():
            raise InvalidInput(self.field, f"leads to {named}, which is a folder")
        if not self.overwrite:
            message = f"{named} is there already; choose another place, or give overwrite"
            raise ServiceFault(pb.Fault(code=pb.CODE_ALREADY_EXISTS, field=self.field, message=message))
        return path

    def put(self, name: str, picture: np.ndarray | bytes) -> tuple[dict[str, Any], np.ndarray | bytes | None]:
        """Bring a picture to its place.

        Args:
            name: of its file, without a suffix.
            picture: pixels (uint8, height x width x 3), or the bytes of a file of the wanted format.

        Returns:
            The members by which JSON tells of it, and the picture itself if JSON does not hold it.

        Raises:
            InvalidInput, ServiceFault: as `check` does; or it cannot be encoded or written, or the answer is full.
        """
        row: dict[str, Any] = {}
        if isinstance(picture, np.ndarray):
            size = Size(picture.shape[1], picture.shape[0])
            row |= size._asdict()
            if self.output.encoding != "tensor":
                self.output.check_canvas(size)
                picture = encode_opaque(picture, self.output)
        if self.field:
            assert isinstance(picture, bytes)
            return row | {"path": self._write(self.named(name), picture)}, None
        self._count(picture.nbytes if isinstance(picture, np.ndarray) else len(picture))
        if not self.inline:
            return row, picture
        return row | self._inside(picture), None

    def _inside(self, picture: np.ndarray | bytes) -> dict[str, Any]:
        if isinstance(picture, bytes):
            data = base64.b64encode(picture).decode()
            return {"picture": {"content_type": PICTURES[self.output.encoding], "data": data}}
        data = base64.b64encode(np.ascontiguousarray(picture).data).decode()
        return {"tensor": {"dtype": dtype_name(picture), "shape": list(picture.shape), "data": data}}

    def _count(self, size: int) -> None:
        """An answer is held in memory, so its pictures together are bounded as a message is."""
        most = current_settings().max_message_bytes
        if self._size + size > most:
            message = (
                f"the pictures of the answer would have over {most:,} bytes (TENSORHOP_MAX_MESSAGE_BYTES); give "
                "output_dir, or ask for less at once"
            )
            raise ServiceFault(pb.Fault(code=pb.CODE_RESOURCE_EXHAUSTED, message=message))
        self._size += size

    def _write(self, named: str, content: bytes) -> str:
        path = self._check(named)
        try:
            write_file(path, content, replace=self.overwrite, follow=False)
        except CannotWrite as error:
            message = f"{named} cannot be written: {error.strerror}"
            code = CODES.get(error.errno or 0, pb.CODE_INTERNAL)
            raise ServiceFault(pb.Fault(code=code, field=self.field, message=message)) from error
        return named


def allowed_file(path: str, field: str) -> Path:
    """The place of a file under the root for writing (TENSORHOP_ALLOW_WRITE), links of folders followed.

    Raises:
        InvalidInput: writing is off, or the path leaves the root.
    """
    allowed = current_settings().allow_write
    if not allowed:
        raise InvalidInput(field, "is given, but nothing may be written; start the HTTP server with --allow-write")
    try:
        root = Path(allowed).resolve()
        place = root / path
        folder = place.parent.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInput(field, "is not a path") from error
    if place.name in ("", "..") or not folder.is_relative_to(root):
        raise InvalidInput(field, "leaves the allowed folder")
    return folder / place.name


def stems_of(stems: list[str]) -> list[str]:
    """What the files about each picture of a request begin with: its own stem; with its index, if these are not unique.

    Args:
        stems: "" of a picture without a name.
    """
    named = [stem or str(index) for index, stem in enumerate(stems)]
    if len({one.casefold() for one in named}) == len(named):
        return named
    return [f"{index}-{stem}" if stem else str(index) for index, stem in enumerate(stems)]


def output_of(values: Mapping[str, Any], encoding: str) -> Output:
    """The format of pictures. Raises InvalidInput: it has no such quality."""
    output = Output(encoding, values.get("quality"))
    output.check()
    return output

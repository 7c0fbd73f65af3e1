"""A recording that is read: its document, and the tensors and pictures that it refers to."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from blake3 import blake3

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.recording.document import NAME, SCHEMA, Document
from tensorhop.orchestrator.recording.files import elements_of
from tensorhop.orchestrator.recording.message_json import Reference, from_json
from tensorhop.orchestrator.recording.store import PART, changed, folder_name
from tensorhop.v1 import pipeline_pb2
from tensorhop.values.dtypes import DTYPES
from tensorhop.values.geometry import Region
from tensorhop.values.images import decode_image
from tensorhop.wire.codec import Packet

MOST_NAMED = 5  # recordings that a message names


class RecordingError(ValueError):
    """There is no such recording, or it cannot be read."""


@dataclass(frozen=True)
class Part:
    """A tensor or a picture of a recording; with `pixels` "none", only what it was is known."""

    recording: "Recording"
    reference: Reference
    dtype: str  # "" of an image file
    shape: tuple[int, ...]  # () of an image file
    region: Region | None

    @property
    def digest(self) -> str:
        """BLAKE3 of the elements, or of the image file."""
        return str(self.reference["blake3"])

    @property
    def kept(self) -> bool:
        """Whether its content was kept."""
        return "file" in self.reference

    @property
    def suffix(self) -> str:
        """Of its file: ".png"."""
        return Path(self.reference["file"]).suffix

    def file(self) -> bytes:
        """Its file. Raises RecordingError: it was not kept, or cannot be read."""
        return self.recording.read(self.reference)

    def array(self) -> np.ndarray:
        """The array of a tensor. Raises RecordingError: as `file` does, or it is not what was recorded."""
        content = self.recording.content(True, self.reference)
        return np.ndarray(self.shape, DTYPES[self.dtype], content)


class Recording:
    """A recording.

    Args:
        document: as `contents` writes it.
        open_file: gives a file of the recording by its name.
        folder: where it is; None for one that is in memory.
    """

    def __init__(self, document: Document, open_file: Callable[[str], bytes], folder: Path | None = None) -> None:
        self.document, self._open, self.folder = document, open_file, folder
        self._given: dict[str, bytes] = {}  # contents that were not kept, by digest

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Self:
        """The recording that `contents` has made, without a folder."""
        return cls(json.loads(files[NAME]), files.__getitem__)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The recording in a folder. Raises RecordingError: it cannot be read, or is of a later version."""
        try:
            document = json.loads((folder / NAME).read_bytes())
            schema = document["schema"]
            if schema != SCHEMA:
                raise RecordingError(f"{folder} has the schema {schema}; this version reads {SCHEMA}")
            str(document["id"]), str(document["chain"]), document["events"], document["calls"], document["request"]
        except OSError as error:
            raise RecordingError(f"{folder} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(f"{folder / NAME} is not a recording: {error}") from error

        def open_file(name: str) -> bytes:
            return (folder / Path(name).name).read_bytes()  # never beside the folder, whatever the document says

        return cls(document, open_file, folder)

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def chain(self) -> str:
        return str(self.document["chain"])

    @property
    def has_pixels(self) -> bool:
        return bool(self.document.get("pixels") == "all")

    @property
    def fault(self) -> Document | None:
        """Why the request failed as a whole; None if it did not."""
        return self.document.get("fault")

    def events(self, kind: str) -> Iterator[Document]:
        """The events of a kind, such as "object", in their order."""
        return (event[kind] for event in self.document["events"] if kind in event)

    def part(self, found: Document | None) -> Part | None:
        """The part that a tensor, a mask, a layer or a picture of the document is; None if there is none."""
        if found is None:
            return None
        region = Region(*(found["region"].get(edge, 0) for edge in Region._fields)) if "region" in found else None
        if reference := found.get("encoded"):
            return Part(self, reference, "", (), region)
        tensor = next((found[name] for name in ("alpha", "pixels", "tensor") if name in found), found)
        if "data" not in tensor:
            return None
        return Part(self, tensor["data"], tensor["dtype"], tuple(map(int, tensor.get("shape", ()))), region)

    def request(self) -> Packet[pipeline_pb2.ProcessRequest]:
        """The request of a recording of the pipeline. Raises RecordingError: something of it is missing."""
        return from_json(pipeline_pb2.ProcessRequest, self.document["request"], self.content)

    def give(self, data: bytes) -> None:
        """Give an image file that was not kept, but may have been the request's photo, as a file or decoded."""
        self._given[blake3(data).hexdigest()] = data
        with contextlib.suppress(InvalidInput):
            pixels = decode_image(data).tobytes()
            self._given[blake3(pixels).hexdigest()] = pixels

    def read(self, reference: Reference) -> bytes:
        """The file that a reference names. Raises RecordingError."""
        if "file" not in reference:
            raise RecordingError(f"{self.id} was recorded without pixels (--record-pixels none)")
        try:
            return self._open(reference["file"])
        except (OSError, KeyError) as error:
            raise RecordingError(f"{reference['file']} of {self.id} cannot be read: {error}") from error

    def content(self, is_tensor: bool, reference: Reference) -> bytes:
        """What a reference stands for. Raises RecordingError: as `read`, or the file is not what was recorded."""
        if (given := self._given.get(reference["blake3"])) is not None:
            return given
        data, name = self.read(reference), reference["file"]
        try:
            content = elements_of(name, data) if is_tensor else data
        except (OSError, ValueError) as error:
            raise RecordingError(f"{name} of {self.id} cannot be read: {error}") from error
        if blake3(content).hexdigest() != reference["blake3"]:
            raise RecordingError(f"{name} of {self.id} is not what was recorded: its digest is another one")
        return content


def names_in(folder: Path) -> list[str]:
    """The names of the recordings in a folder, newest first. Raises RecordingError: it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [
                (changed(entry), entry.name)
                for entry in entries
                if not entry.name.startswith(PART) and (folder / entry.name / NAME).is_file()
            ]
    except OSError as error:
        raise RecordingError(f"{folder} cannot be read: {error.strerror}") from error
    return [name for _, name in sorted(found, reverse=True)]


def find(folder: Path | None, wanted: str) -> Recording:
    """The recording of an id, of the beginning of one, or in a folder of its own.

    Raises:
        RecordingError: there is none, or several begin so, or it cannot be read.
    """
    if (Path(wanted) / NAME).is_file():
        return Recording.load(Path(wanted))
    if folder is None:
        raise RecordingError(f"{wanted} is no folder with a {NAME}; name the folder of recordings: --record DIR")
    start, names = folder_name(wanted), names_in(folder)
    found = [start] if start in names else [name for name in names if name.startswith(start)]
    if not found:
        raise RecordingError(f"{folder} has no recording whose id begins with {wanted!r}")
    if len(found) > 1:
        some = ", ".join(found[:MOST_NAMED]) + (", ..." if len(found) > MOST_NAMED else "")
        raise RecordingError(f"{len(found)} recordings begin with {wanted!r}: {some}; give more of the id")
    return Recording.load(folder / found[0])

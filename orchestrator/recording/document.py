"""The files of a recording: one for each tensor and picture, and a JSON document that refers to them."""

import json
import re
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

from blake3 import blake3
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tensorhop.orchestrator.recording.files import array_of, both_of, file_of
from tensorhop.orchestrator.recording.message_json import Path, Reference, to_json
from tensorhop.orchestrator.recording.recorder import Call, Recorder
from tensorhop.v1 import pipeline_pb2, segment_pb2, tensor_pb2

SCHEMA = 1
NAME = "recording.json"  # of the document
Document = dict[str, Any]
CONTENTS = ("tensor", "encoded", "alpha", "pixels", "data")  # fields that say how a picture is there, not what it is
NUMBERS = ("object", "interval", "panorama", "weight_idx")  # what tells the items of a chain apart
# Where services and callers are is nobody's business who reads a recording.
ADDRESS = re.compile(
    r"\b(?:ipv4|ipv6|unix|dns|vsock):\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?|\[[0-9a-fA-F:]*:[0-9a-fA-F:]*\](?::\d+)?"
)
LEFT_OUT = "[address]"


class Files:
    """The files of a recording by name: one for each content, whoever has it.

    Args:
        pixels: whether there are any; otherwise only digests.
        arrays: whether each tensor has a picture and an .npy file beside each other.
    """

    def __init__(self, pixels: bool, arrays: bool) -> None:
        self.by_name: dict[str, bytes] = {}
        self._pixels, self._arrays = pixels, arrays
        self._known: dict[tuple[str, bool], str] = {}

    def refer(self, word: str, holder: Message, content: memoryview) -> Reference:
        """The reference to a content, whose file is named by the word if it is new."""
        digest, is_tensor = blake3(content).hexdigest(), isinstance(holder, tensor_pb2.Tensor)
        reference = {"blake3": digest, "bytes": content.nbytes}
        if not self._pixels:
            return reference
        if (digest, is_tensor) not in self._known:
            suffix, data = file_of(holder, content)
            stem = self._free(word)
            self.by_name[stem + suffix], self._known[digest, is_tensor] = data, stem + suffix
            if self._arrays and isinstance(holder, tensor_pb2.Tensor):
                self.by_name |= both_of(stem, array_of(holder, content))
        return {"file": self._known[digest, is_tensor]} | reference

    def _free(self, word: str) -> str:
        """The word, with a number behind it if another file has that stem."""
        taken = {name.rpartition(".")[0] for name in self.by_name}
        number = 1
        while (stem := word if number == 1 else f"{word}-{number}") in taken:
            number += 1
        return stem


def contents(
    recorder: Recorder, pixels: bool = True, arrays: bool = False, addresses: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """The files of a recording by name, the document last.

    Args:
        pixels: whether tensors and pictures are kept; otherwise only their digests.
        arrays: whether each tensor has a picture and an .npy file beside each other.
        addresses: of the services by name; the messages of faults do not have them.
    """
    files = Files(pixels, arrays)
    found: Document = {
        "schema": SCHEMA,
        "id": recorder.request_id,
        "chain": recorder.chain,
        "version": version("tensorhop"),
        "started": recorder.started.isoformat(timespec="milliseconds"),
        "seconds": rounded(recorder.seconds),
        "pixels": "all" if pixels else "none",
        "steps": [plain(step) for step in recorder.steps],
        **({"fault": plain(recorder.fault)} if recorder.fault is not None else {}),
        "request": to_json(recorder.request, partial(named, files, {}, {})),
    }
    boxes = boxes_of(recorder)
    calls = sorted(recorder.calls, key=lambda call: call.at)
    found["calls"] = [call_json(call, files, boxes) for call in calls]
    found["events"] = [event_json(one.at, one.packet, files) for one in recorder.events]
    leave_addresses_out(found, addresses or {})
    return files.by_name | {NAME: (json.dumps(found, indent=1) + "\n").encode()}


def call_json(call: Call, files: Files, boxes: Mapping[bytes, int]) -> Document:
    row: Document = {"service": call.service, "about": call.about, "at": rounded(call.at)}
    if call.request is None:
        row["cached"] = True
    else:
        row |= {"method": call.method, "seconds": rounded(call.seconds), "code": call.code, "transport": call.transport}
        row["request"] = to_json(call.request, partial(named, files, call.about, {}))
    if call.fault is not None:
        row["fault"] = plain(call.fault)
    row["answers"] = []
    for one in call.answers:
        about = call.about | items_of(one.packet.message, call, boxes)
        refer = partial(named, files, about, {"mask": call.service})
        row["answers"].append({"at": rounded(one.at)} | to_json(one.packet, refer))
    return row


def event_json(at: float, packet: Any, files: Files) -> Document:
    kind = packet.message.WhichOneof("event")
    about = items_of(getattr(packet.message, kind)) if kind else {}
    found = to_json(packet, partial(named, files, about, {"mask": "segment"}))
    found.pop("request_id", None)
    return {"at": rounded(at)} | found


def named(
    files: Files, about: Mapping[str, int], words: Mapping[str, str], holder: Message, path: Path, content: memoryview
) -> Reference:
    """The reference to a content, whose file is named after the items that it is about, and its field.

    Args:
        words: what to call a field instead.
    """
    fields = [step for step in path if isinstance(step, str) and step not in CONTENTS]
    places = [step for step in path if isinstance(step, int)]
    encoded = isinstance(holder, pipeline_pb2.Picture)  # as the caller wanted it
    word = "file" if encoded else words.get(fields[-1], fields[-1])
    numbers = [about[name] for name in NUMBERS if name in about]
    return files.refer("-".join(map(str, [*numbers, *places, word.removesuffix("s")])), holder, content)


def items_of(message: Message, call: Call | None = None, boxes: Mapping[bytes, int] | None = None) -> dict[str, int]:
    """Which items of the chain an event, or an answer of a call, is about."""
    fields = message.DESCRIPTOR.fields_by_name
    found: dict[str, int] = {name: getattr(message, name) for name in NUMBERS if name in fields and name != "object"}
    if "detection" in fields:
        found["object"] = message.detection.index  # type: ignore[attr-defined]
    if isinstance(message, segment_pb2.SegmentResponse) and call is not None and call.request is not None:
        asked = call.request.message.boxes
        if message.index < len(asked):
            box = asked[message.index].SerializeToString()
            found["object"] = (boxes or {}).get(box, message.index)
    return found


def boxes_of(recorder: Recorder) -> dict[bytes, int]:
    """The index of each object by its box, by which segment is asked for it."""
    found = {}
    for one in recorder.events:
        if one.packet.message.WhichOneof("event") == "detections":
            for detection in one.packet.message.detections.detections:
                found[detection.box.SerializeToString()] = detection.index
    return found


def leave_addresses_out(value: Any, addresses: Mapping[str, str]) -> None:
    """Replace addresses in the messages of faults, at any depth: those of services by their names."""
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            leave_addresses_out(one, addresses)
    if isinstance(value, dict) and isinstance(message := value.get("message"), str):
        for name, address in addresses.items():
            message = message.replace(address, name)
        value["message"] = ADDRESS.sub(LEFT_OUT, message)


def plain(message: Message) -> Document:
    found: Document = MessageToDict(message, preserving_proto_field_name=True)
    return found


def rounded(seconds: float) -> float:
    return round(seconds, 6)

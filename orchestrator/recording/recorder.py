"""What is noted of one request while it runs, in memory, from any thread."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.message import Message

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.recording.message_json import detached
from tensorhop.v1 import fault_pb2, image_pb2, pipeline_pb2
from tensorhop.wire.codec import Packet, payload_fields
from tensorhop.wire.image_source import read_path
from tensorhop.wire.payloads import Payloads

MOST_BYTES = 512 * 1024 * 1024  # of tensors and files that all recordings of a process may hold until they are written


class Memory:
    """How many bytes recordings may hold together, from the first note to the written file."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most, self._used = most, 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there is room for that many bytes, which are taken then."""
        with self._lock:
            if self._used + size > self._most:
                return False
            self._used += size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size


@dataclass
class Timed:
    """A packet and when it came, in seconds since the request did."""

    at: float
    packet: Packet[Any]


@dataclass
class Call:
    """One call of a step; or an answer of it that came from the step cache, without a request."""

    service: str
    about: dict[str, int]  # such as the object's index
    at: float  # seconds since the request came in
    method: str = ""
    request: Packet[Any] | None = None  # without pictures, which the request's photo or earlier answers are
    transport: str = ""
    answers: list[Timed] = field(default_factory=list)
    seconds: float = 0.0
    code: str = "OK"
    fault: fault_pb2.Fault | None = None


class Recorder:
    """Notes the request, the calls of its steps, and its events. It holds copies: slots are used again.

    Args:
        request_id, chain: of the request.
        memory: for all recordings of the process; where there is no room left, `error` tells, and nothing more is held.
    """

    def __init__(self, request_id: str, chain: str, request: Packet[Any], memory: Memory) -> None:
        self.request_id, self.chain = request_id, chain
        self.started = datetime.now(UTC)
        self._began = time.monotonic()
        self._memory, self._held = memory, 0
        self._lock = threading.Lock()
        self.error: Exception | None = None  # why it cannot be written
        self.calls: list[Call] = []
        self.events: list[Timed] = []
        self.fault: fault_pb2.Fault | None = None
        self.steps: list[pipeline_pb2.StepSummary] = []
        self.seconds = 0.0
        self.request = self._take(with_files(request))

    def now(self) -> float:
        """Seconds since the request came in."""
        return time.monotonic() - self._began

    def event(self, packet: Packet[Any]) -> None:
        """An answer of the chain."""
        if packet.message.WhichOneof("event") == "summary":
            self.steps = list(packet.message.summary.steps)
        self.request_id = self.request_id or packet.message.request_id
        self.events.append(Timed(self.now(), self._take(packet)))

    def begin(self, service: str, method: str, packet: Packet[Any], about: Mapping[str, int]) -> Call:
        """A call of a step begins."""
        transport = "shared_memory" if packet.payloads.slots else "message"
        call = Call(service, dict(about), self.now(), method, self._take(without_pictures(packet)), transport)
        self.calls.append(call)
        return call

    def answer(self, call: Call, packet: Packet[Any]) -> None:
        call.answers.append(Timed(self.now(), self._take(packet)))

    def end(self, call: Call, code: grpc.StatusCode, fault: fault_pb2.Fault | None) -> None:
        call.seconds, call.code, call.fault = self.now() - call.at, code.name, fault

    def cached(self, service: str, packet: Packet[Any], about: Mapping[str, int]) -> None:
        """An answer of a step came from the cache."""
        call = Call(service, dict(about), self.now())
        self.answer(call, packet)
        self.calls.append(call)

    def close(self) -> None:
        """Forget everything, and give the memory back."""
        with self._lock:
            self._memory.give_back(self._held)
            self._held = 0
        self.calls, self.events = [], []

    def _take(self, packet: Packet[Any]) -> Packet[Any]:
        """A copy of a packet. What goes wrong is noted, and does not reach the request; then nothing more is held."""
        if self.error is None:
            try:
                copy = detached(packet)
                with self._lock:
                    if not self._memory.take(copy.payloads.nbytes):
                        raise MemoryError("too much waits to be written, and no memory is left to hold more")
                    self._held += copy.payloads.nbytes
            except Exception as error:
                self.error = error
            else:
                return copy
        return Packet(type(packet.message)(), Payloads())


def without_pictures(packet: Packet[Any]) -> Packet[Any]:
    """The request of a step without the elements of its pictures, which came with the request or an earlier answer."""
    message = type(packet.message)()
    message.CopyFrom(packet.message)
    for picture in pictures(message):
        picture.tensor.ClearField("content")
    return Packet(message, packet.payloads)


def with_files(packet: Packet[Any]) -> Packet[Any]:
    """The request of a caller with the files themselves in place of their paths, which may have other content later."""
    message = type(packet.message)()
    message.CopyFrom(packet.message)
    for picture in pictures(message):
        if picture.WhichOneof("source") == "path":
            with contextlib.suppress(InvalidInput):  # the chain will say so
                picture.encoded = read_path(picture.path, "image")
    return Packet(message, packet.payloads)


def pictures(message: Message) -> Iterator[image_pb2.Image]:
    """Each image of a message, at any depth."""
    if isinstance(message, image_pb2.Image):
        yield message
        return
    for field_, value in message.ListFields():
        if field_.message_type is not None and payload_fields(field_.message_type):
            for one in value if field_.is_repeated else (value,):
                yield from pictures(one)

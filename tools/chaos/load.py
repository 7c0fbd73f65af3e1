"""Callers, and what became of their requests."""

import hashlib
import io
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tensorhop.client.cutouts.events import Event
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import ServiceFault
from tensorhop.v1 import fault_pb2
from tensorhop.values.output_options import Output
from tensorhop.values.results import Description, Detections, ObjectFault, ObjectResult, Summary

PHOTOS = Path(__file__).parent.parent.parent / "examples" / "photos"
PNG = Output("png")


def photos(longest: int = 160) -> list[bytes]:
    """The sample photos as small JPEG files."""
    return [resized(path, (longest, longest)) for path in sorted(PHOTOS.glob("*.jpg"))]


def resized(path: Path, most: tuple[int, int]) -> bytes:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail(most)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def digest(events: Sequence[Event]) -> tuple[str, ...]:
    """What an answer says, whatever the order of its objects."""
    found = []
    for event in events:
        match event:
            case Description():
                found.append(f"description {event.text} {event.score}")
            case Detections():
                found.append(f"detections {event.detections}")
            case ObjectResult():
                content = hashlib.blake2b(pixels_of(event)).hexdigest()
                found.append(f"object {event.detection} {event.placement} {content}")
            case ObjectFault():
                found.append(f"fault {event.step} {event.code}")
    return tuple(sorted(found))


def pixels_of(result: ObjectResult) -> bytes:
    """The picture's pixels. Equal pixels are now and then another PNG file: the encoder may choose otherwise."""
    if result.file:
        with Image.open(io.BytesIO(result.file)) as image:
            return image.tobytes()
    return result.picture.pixels.tobytes() if result.picture else b""


def complete(events: Sequence[Event]) -> bool:
    return bool(events) and isinstance(events[-1], Summary)


@dataclass
class Tally:
    """What became of the requests of one row."""

    requests: int = 0
    lost: int = 0  # ended by an error, or with an object's fault, that the row does not expect
    wrong: int = 0  # ended well, with an answer that is not the right one
    slowest: float = 0.0
    reasons: Counter = field(default_factory=Counter)
    refused: int = 0  # with RESOURCE_EXHAUSTED and retry_after
    done: list[float] = field(default_factory=list)  # when each good answer was complete
    lock: threading.Lock = field(default_factory=threading.Lock)

    def recovered(self, since: float) -> float | None:
        """Seconds from an instant until the first good answer after it."""
        after = [when for when in self.done if when >= since]
        return min(after) - since if after else None


class Load:
    """Requests to a pipeline, checked against the answers that it gave when all was well."""

    def __init__(self, address: str, files: Sequence[bytes] = (), **request: Any) -> None:
        self.address, self.request = address, {"cache": False, "output": PNG, **request}
        self.files = list(files) or photos()
        with PipelineClient(address, retry=False) as client:
            self.right = [digest(list(client.process(file, **self.request))) for file in self.files]
        assert all(not any(line.startswith("fault") for line in lines) for lines in self.right), self.right
        assert len(set(self.right)) == len(self.files), "the photos cannot be told apart"

    def one(self, client: PipelineClient, number: int, tally: Tally, timeout: float = 60.0) -> ServiceFault | None:
        """One request; returns why it was refused, if it was."""
        which, started = number % len(self.files), time.monotonic()
        refusal, reason = None, ""
        events: list[Event] = []
        try:
            events.extend(client.process(self.files[which], timeout=timeout, **self.request))
        except ServiceFault as error:
            fault = error.fault
            if fault.code == fault_pb2.CODE_RESOURCE_EXHAUSTED and fault.HasField("retry_after"):
                refusal = error
            else:
                step = fault_pb2.Step.Name(fault.step).removeprefix("STEP_").lower()
                reason = f"{step} {fault_pb2.Code.Name(fault.code).removeprefix('CODE_')}: {fault.message[:120]}"
        now = time.monotonic()
        for event in events:
            if isinstance(event, ObjectFault):
                reason = f"{event.step} {event.code}: {event.message[:120]}"
        with tally.lock:
            tally.requests += 1
            if refusal:
                tally.refused += 1
                return refusal
            tally.slowest = max(tally.slowest, now - started)
            if reason or not complete(events):
                tally.lost += 1
                tally.reasons[reason or "the stream ended without a summary"] += 1
                print(f"{now - started:.1f} s, then {reason}", file=sys.stderr)
            elif digest(events) != self.right[which]:
                tally.wrong += 1
            else:
                tally.done.append(now)
        return None

    @contextmanager
    def running(self, callers: int = 3, timeout: float = 60.0) -> Iterator[Tally]:
        """Callers who ask one request after the other for as long as the body runs."""
        tally, end = Tally(), threading.Event()

        def call(caller: int) -> None:
            number = caller
            with PipelineClient(self.address, retry=False) as client:
                while not end.is_set():
                    good = len(tally.done)
                    self.one(client, number, tally, timeout)
                    number += 1
                    if len(tally.done) == good:
                        end.wait(0.5)  # as a caller would whose request has just failed

        threads = in_threads(call, callers)
        try:
            yield tally
        finally:
            end.set()
            for thread in threads:
                thread.join()


def in_threads(work: Callable[[int], None], count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads

"""One photo of a run: through the pipeline, and into files."""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from tensorhop.client.events import Event
from tensorhop.client.pipeline import PipelineClient
from tensorhop.orchestrator.run.files import Input, fill, write_file
from tensorhop.orchestrator.run.overview import draw_overview
from tensorhop.orchestrator.run.photo_request import PhotoRequest
from tensorhop.orchestrator.run.summary import DONE, FAILED, NOTHING, read_summary
from tensorhop.values.compositing import compose
from tensorhop.values.encoding import encode_png
from tensorhop.values.event_json import event_json
from tensorhop.values.geometry import Region
from tensorhop.values.images import decode_image, image_size
from tensorhop.values.results import Description, Detection, Detections, Mask, ObjectFault, ObjectResult, Summary


@dataclass
class Record:
    """What is known of one photo so far."""

    description: Description | None = None
    detections: list[Detection] = field(default_factory=list)
    masks: dict[int, Mask] = field(default_factory=dict)
    results: dict[int, ObjectResult] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)  # in the output directory
    summary: Summary | None = None


@dataclass
class Listener:
    """Who is told while a photo is worked on; each may raise, which ends the work."""

    start: Callable[[], None]  # the photo is going to be worked on
    event: Callable[[Event, str, float], None]  # an event without its pixels, the object's file or "", seconds
    check: Callable[[], None]  # before every event and every file
    room: Callable[[int], AbstractContextManager[None]]  # for so many pixels, before the photo is worked on


def process_photo(
    photo: Input, plan: PhotoRequest, client: PipelineClient, resume: bool, watcher: Listener
) -> dict[str, Any]:
    """Process one photo, or find that it is done; returns its summary, with "skipped" if it was.

    Raises:
        ServiceFault: the request failed as a whole.
        InvalidInput: the file is too large.
        OSError: a file cannot be read or written.
    """
    data = photo.read()
    digest, chosen = blake3(data).hexdigest(), plan.facts()
    folder = plan.place.out if not plan.place.single else None
    if folder:
        path = folder / f"{photo.stem}.json"
        if resume and (done := read_summary(path, digest, chosen)):
            return done | {"skipped": True}
        path.unlink(missing_ok=True)  # what it says is over as soon as a file is replaced
    width, height = image_size(data)
    with watcher.room(width * height):
        watcher.start()
        return work_on(photo, plan, client, watcher, data, digest)


def work_on(
    photo: Input, plan: PhotoRequest, client: PipelineClient, watcher: Listener, data: bytes, digest: str
) -> dict[str, Any]:
    """Process a photo that is read; returns its summary. Raises as `process_photo` does."""
    began = last = time.monotonic()
    folder, chosen = plan.place.out if not plan.place.single else None, plan.facts()
    record = Record()

    def write(where: Path, name: str, content: bytes) -> str:
        watcher.check()
        write_file(where / name, content)
        return str(where / name)

    for event in client.process(data, **plan.request):
        watcher.check()
        if isinstance(event, Detections):
            event = replace(event, warnings=[plan.in_own_words(warning) for warning in event.warnings])
        file = ""
        if isinstance(event, ObjectResult) and folder:
            name = fill(plan.template, photo.stem, event.detection)
            file = write(folder, name, file_of(event))
            record.files.append(name)
        keep(event, record)
        row = event_json(event)
        record.rows.append(row | {"file": file} if file else row)
        now = time.monotonic()
        watcher.event(without_pixels(event), file, now - last)
        last = now
    assert record.summary is not None
    if plan.place.single and record.results:
        watcher.check()
        write_single(record.results[min(record.results)], plan.place.out)
    if plan.overlay and folder:
        name = f"{photo.stem}-overview.png"
        write(folder, name, encode_png(draw_overview(decode_image(data), record.detections, record.masks)))
        record.files.append(name)
    if plan.place.steps:
        for name, content in steps(decode_image(data), record):
            write(plan.place.steps / photo.stem, name, content)
    summary = {
        "image": photo.name,
        "status": FAILED if record.summary.faults else DONE if record.summary.objects else NOTHING,
        "digest": digest,
        "options": chosen,
        "files": record.files,
        "seconds": round(time.monotonic() - began, 3),
        "events": record.rows,
    }
    if folder:  # last: where it is, everything else is
        write(folder, f"{photo.stem}.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def keep(event: Event, record: Record) -> None:
    match event:
        case Description():
            record.description = event
        case Detections():
            record.detections = event.detections
        case ObjectResult() | ObjectFault():
            index = event.detection.index
            if event.mask is not None:
                record.masks[index] = event.mask
            if isinstance(event, ObjectResult):
                record.results[index] = event
        case Summary():
            record.summary = event


def without_pixels(event: Event) -> Event:
    """The event as it may wait until it is reported."""
    if isinstance(event, ObjectResult):
        return replace(event, picture=None, file=None, mask=None, cutout=None, shadow=None)
    return replace(event, mask=None) if isinstance(event, ObjectFault) else event


def file_of(result: ObjectResult) -> bytes:
    assert result.file is not None, "a run asks for files"
    return result.file


def write_single(result: ObjectResult, out: Path | None) -> None:
    if out:
        write_file(out, file_of(result))
    else:
        sys.stdout.buffer.write(file_of(result))
        sys.stdout.buffer.flush()


def steps(photo: np.ndarray, record: Record) -> Iterator[tuple[str, bytes]]:
    """Name and content of a picture and an .npy for every intermediate, and of the words and boxes as JSON."""
    for name, array in intermediates(photo, record):
        picture = array if array.dtype == np.uint8 else (array * 255 + 0.5).astype(np.uint8)
        yield f"{name}.png", encode_png(picture)
        npy = io.BytesIO()
        np.save(npy, array)
        yield f"{name}.npy", npy.getvalue()
    words = {
        "description": event_json(record.description) if record.description else None,
        "detections": [event_json(detection) for detection in record.detections],
    }
    yield "words.json", (json.dumps(words, indent=2) + "\n").encode()


def intermediates(photo: np.ndarray, record: Record) -> Iterator[tuple[str, np.ndarray]]:
    """Name and array of everything that passed between the steps."""
    yield "photo", photo
    if record.description:
        yield "describe", photo[record.description.region.slices]
    yield "detect", draw_overview(photo, record.detections, {})
    for index, mask in record.masks.items():
        if not mask.region.empty:
            yield f"{index}-segment", mask.alpha
    for index, result in record.results.items():
        layers = {"shadow": result.shadow, "cutout": result.cutout}
        known = {name: layer for name, layer in layers.items() if layer is not None}
        for name, layer in known.items():
            yield f"{index}-{name}", layer.pixels
        if known:
            region = reduce(Region.union, (layer.region for layer in known.values()))
            yield f"{index}-picture", compose(known.values(), region)

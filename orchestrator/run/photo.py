"""One photo of a run: through the pipeline, and into files."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np
from blake3 import blake3

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.cutouts.events import Event
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.client.cutouts.requests import process_request
from tensorhop.files import write_file
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.recording.document import contents
from tensorhop.orchestrator.recording.files import both_of
from tensorhop.orchestrator.recording.recorder import Memory, Recorder
from tensorhop.orchestrator.run.file_checks import check_free, check_names, check_single
from tensorhop.orchestrator.run.inputs import Input
from tensorhop.orchestrator.run.overview import draw_overview
from tensorhop.orchestrator.run.own_files import PhotoFiles
from tensorhop.orchestrator.run.photo_request import Destination, PhotoRequest
from tensorhop.orchestrator.run.summary import DONE, FAILED, NOTHING, error_row, fault_from, read_summary
from tensorhop.values.compositing import compose
from tensorhop.values.geometry import Region
from tensorhop.values.images import decode_image, image_size
from tensorhop.values.images.png import encode_png
from tensorhop.values.results import Description, Detection, Detections, Mask, ObjectFault, ObjectResult, Summary


@dataclass
class Record:
    """What is known of one photo so far."""

    description: Description | None = None
    detections: list[Detection] = field(default_factory=list)
    masks: dict[int, Mask] = field(default_factory=dict)
    results: dict[int, ObjectResult] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: Summary | None = None


@dataclass
class Listener:
    """Who is told while a photo is worked on; each may raise, which ends the work."""

    start: Callable[[], None]  # the photo is going to be worked on
    event: Callable[[Event, str, float], None]  # an event without its pixels, the object's file or "", seconds
    check: Callable[[], None]  # before every event and every file
    room: Callable[[int], AbstractContextManager[None]]  # for so many pixels, before the photo is worked on


class PhotoFailed(Exception):
    """A photo failed as a whole, by the exception that is the cause of this one.

    Args:
        files: names of the files that were written for it, but for the report, which says that it failed.
        kept: if none were written, the names of those of an earlier run, which stay.
    """

    def __init__(self, files: list[str], kept: list[str]) -> None:
        super().__init__()
        self.files, self.kept = files, kept


def process_photo(
    photo: Input, wanted: PhotoRequest, client: PipelineClient, resume: bool, listener: Listener
) -> dict[str, Any]:
    """Process one photo, or find that it is done; returns its summary, with "skipped" if it was.

    Raises:
        PhotoFailed: the request failed as a whole, or a file cannot be read or written. If that was after the first
            file was written, the report says so; before that, everything is as it was.
    """
    began = time.monotonic()
    files, steps_files = wanted.destination.files(photo), wanted.destination.step_files(photo)
    record, report, room = Record(), dict[str, Any](image=photo.name), ExitStack()
    try:
        check_names(photo, wanted)
        data = photo.read()
        report |= {"status": FAILED, "digest": blake3(data).hexdigest(), "options": wanted.facts()}
        if files and resume and (done := read_summary(files.path, report["digest"], report["options"])):
            return done | {"skipped": True}
        if photo.file:
            wanted.destination.rights.read(photo.file)
        check_free(photo, wanted)
        width, height = image_size(data)
        room.enter_context(listener.room(width * height))
        listener.start()
        events, recorder = client.process(data, **wanted.request), None
        if steps_files:
            request, _ = process_request(data, **wanted.request)
            recorder = Recorder("", PIPELINE.name, request, Memory(sys.maxsize))
            events.watch = recorder.event
        request_photo(photo, wanted, events, listener, record, files)
        assert record.summary is not None
        report["status"] = FAILED if record.summary.faults else DONE if record.summary.objects else NOTHING
        if wanted.destination.single and record.results:
            listener.check()
            write_single(record.results[min(record.results)], wanted.destination)
        if wanted.overlay and files:
            listener.check()
            picture = draw_overview(decode_image(data), record.detections, record.masks)
            files.write(f"{photo.stem}-overview.png", encode_png(picture))
        if steps_files and recorder:
            write_steps(decode_image(data), record, recorder, steps_files, listener)
        report |= ended(record, files, began)
        if files:  # last: where it is, everything else is
            listener.check()
            files.finish(report)
        return report
    except Exception as error:
        record.rows.append(error_row(fault_from(error)))
        for failed in filter(None, (files, steps_files)):
            failed.fail(report | {"status": FAILED} | ended(record, failed, began))
        raise PhotoFailed(sorted(files.written) if files else [], files.kept() if files else []) from error
    finally:
        room.close()


def ended(record: Record, files: PhotoFiles | None, began: float) -> dict[str, Any]:
    """The part of a report that is known at the end."""
    return {
        "files": list(files.written) if files else [],
        "seconds": round(time.monotonic() - began, 3),
        "events": record.rows,
    }


def request_photo(
    photo: Input,
    wanted: PhotoRequest,
    events: Iterable[Event],
    listener: Listener,
    record: Record,
    files: PhotoFiles | None,
) -> None:
    """Take the events of a photo, and write its objects as they come.

    Raises:
        NotOurs: a file is in the way of an object; known as soon as the objects are, before any is finished.
        CannotWrite: as `PhotoFiles.write` does.
    """
    last = time.monotonic()
    coming: list[str] = []
    for event in events:
        listener.check()
        if isinstance(event, Detections):
            event = replace(event, warnings=[wanted.in_own_words(warning) for warning in event.warnings])
        file = ""
        if isinstance(event, Detections) and files and not wanted.request["merge"]:
            coming = wanted.names(photo, event.detections)
            files.check(coming)
        if isinstance(event, ObjectResult) and files:
            file = str(files.write(wanted.name(photo, event.detection), file_of(event), coming))
        keep(event, record)
        row = event_json(event)
        record.rows.append(row | {"file": file} if file else row)
        now = time.monotonic()
        listener.event(without_pixels(event), file, now - last)
        last = now


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


def write_single(result: ObjectResult, destination: Destination) -> None:
    if destination.out:
        check_single(destination.out, destination.rights)
        write_file(destination.out, file_of(result), replace=destination.rights.overwrite or destination.out.exists())
    else:
        sys.stdout.buffer.write(file_of(result))
        sys.stdout.buffer.flush()


def write_steps(photo: np.ndarray, record: Record, recorder: Recorder, files: PhotoFiles, listener: Listener) -> None:
    """Write the recording of a photo, with an .npy file beside each picture, and pictures of what has no tensor."""
    recorder.seconds = recorder.now()
    drawn = (both_of(name, array) for name, array in intermediates(photo, record))
    for name, content in chain(contents(recorder, arrays=True).items(), *(one.items() for one in drawn)):
        listener.check()
        files.write(name, content)
    words = {
        "description": event_json(record.description) if record.description else None,
        "detections": [event_json(detection) for detection in record.detections],
    }
    files.finish(words)


def intermediates(photo: np.ndarray, record: Record) -> Iterator[tuple[str, np.ndarray]]:
    """Name and array of what passed between the steps without being a tensor of its own."""
    yield "photo", photo
    if record.description:
        yield "describe", photo[record.description.region.slices]
    yield "detect", draw_overview(photo, record.detections, {})
    for index, result in record.results.items():
        if layers := [layer for layer in (result.shadow, result.cutout) if layer is not None]:
            region = reduce(Region.union, (layer.region for layer in layers))
            yield f"{index}-picture", compose(layers, region)

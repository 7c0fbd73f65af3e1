"""`tensorhop run`: photos in, cut-outs, an overview and a summary out."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.files import Input, fill
from orchestrator.overlay import draw_overlay
from orchestrator.report import Reporter
from tensorhop.client import PipelineClient
from tensorhop.composite import compose
from tensorhop.encode import encode_png
from tensorhop.errors import ServiceFault
from tensorhop.facts import facts
from tensorhop.geometry import Region
from tensorhop.image import decode_image
from tensorhop.results import Description, Detection, Detections, Mask, ObjectFault, ObjectResult, Summary
from tensorhop.v1 import fault_pb2

DONE, FAILED, WRONG, NOTHING, UNREACHABLE = 0, 1, 2, 3, 4  # exit codes


@dataclass(frozen=True)
class Plan:
    """What to do with every photo."""

    request: dict[str, Any]  # arguments of PipelineClient.process, which ask for files
    out: Path | None  # a directory; a file, if `single`; None for standard output
    single: bool  # only the best object is written, as one file
    template: str  # of the files' names, in a directory
    overlay: bool = True
    steps: Path | None = None  # where intermediates go
    fail_fast: bool = False


@dataclass
class Record:
    """What is known of one photo so far."""

    description: Description | None = None
    detections: list[Detection] = field(default_factory=list)
    masks: dict[int, Mask] = field(default_factory=dict)
    results: dict[int, ObjectResult] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: Summary | None = None


def run(inputs: Sequence[Input], plan: Plan, client: PipelineClient, reporter: Reporter) -> int:
    """Process the inputs one after another; returns the exit code."""
    codes = []
    for photo in inputs:
        reporter.start(photo)
        try:
            codes.append(run_one(photo, plan, client, reporter))
        except ServiceFault as error:
            fault = error.fault
            reporter.failure(fault.message, fault_pb2.Code.Name(fault.code).removeprefix("CODE_"), fault.field)
            codes.append(code_of(fault))
            if codes[-1] == UNREACHABLE:
                break
        except OSError as error:
            reporter.failure(str(error), "NOT_FOUND" if isinstance(error, FileNotFoundError) else "UNAVAILABLE")
            codes.append(FAILED)
        finally:
            reporter.finish()
        if plan.fail_fast and codes[-1] == FAILED:
            break
    return next((code for code in (UNREACHABLE, WRONG, FAILED, NOTHING) if code in codes), DONE)


def code_of(fault: fault_pb2.Fault) -> int:
    """The exit code for a request that failed as a whole."""
    if fault.code == fault_pb2.CODE_UNAVAILABLE and fault.step == fault_pb2.STEP_UNSPECIFIED:
        return UNREACHABLE  # no step's fault: the pipeline itself did not answer
    if fault.code == fault_pb2.CODE_INVALID_ARGUMENT and not fault.field.startswith("image"):
        return WRONG  # an option, not the photo
    return FAILED


def run_one(photo: Input, plan: Plan, client: PipelineClient, reporter: Reporter) -> int:
    """Process one photo; returns its exit code."""
    data = photo.read()
    record = Record()
    for event in client.process(data, **plan.request):
        file = ""
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
                    if not plan.single:
                        file = write_object(photo, event, plan)
            case Summary():
                record.summary = event
        reporter.event(event, file)
        row = facts(event)
        record.rows.append(row | {"file": file} if file else row)
    if plan.single and record.results:
        write_single(record.results[min(record.results)], plan)
    if plan.overlay and plan.out:
        overview = draw_overlay(decode_image(data), record.detections, record.masks)
        write_file(plan.out / f"{photo.stem}-overview.png", encode_png(overview))
    if not plan.single and plan.out:
        summary = {"image": photo.name, "events": record.rows}
        write_file(plan.out / f"{photo.stem}.json", (json.dumps(summary, indent=2) + "\n").encode())
    if plan.steps:
        save_steps(decode_image(data), record, plan.steps / photo.stem)
    assert record.summary is not None
    if record.summary.faults:
        return FAILED
    return DONE if record.summary.objects else NOTHING


def file_of(result: ObjectResult) -> bytes:
    assert result.file is not None, "a run asks for files"
    return result.file


def write_object(photo: Input, result: ObjectResult, plan: Plan) -> str:
    assert plan.out is not None
    path = plan.out / fill(plan.template, photo.stem, result.detection)
    write_file(path, file_of(result))
    return str(path)


def write_single(result: ObjectResult, plan: Plan) -> None:
    if plan.out:
        write_file(plan.out, file_of(result))
    else:
        sys.stdout.buffer.write(file_of(result))
        sys.stdout.buffer.flush()


def write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def save_steps(photo: np.ndarray, record: Record, folder: Path) -> None:
    """Write every intermediate as a picture and an .npy, and the words and boxes as JSON."""
    for name, array in intermediates(photo, record):
        picture = array if array.dtype == np.uint8 else (array * 255 + 0.5).astype(np.uint8)
        write_file(folder / f"{name}.png", encode_png(picture))
        np.save(folder / f"{name}.npy", array)
    words = {
        "description": facts(record.description) if record.description else None,
        "detections": [facts(detection) for detection in record.detections],
    }
    write_file(folder / "words.json", (json.dumps(words, indent=2) + "\n").encode())


def intermediates(photo: np.ndarray, record: Record) -> Iterator[tuple[str, np.ndarray]]:
    """Name and array of everything that passed between the steps."""
    yield "photo", photo
    if record.description:
        yield "describe", photo[record.description.region.slices]
    yield "detect", draw_overlay(photo, record.detections, {})
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

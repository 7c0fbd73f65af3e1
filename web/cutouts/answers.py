"""What goes out: one picture, an archive, JSON, raw pixels, or events as they happen."""

import asyncio
import base64
import json
from functools import partial
from typing import Any

import numpy as np
from starlette.responses import Response

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.cutouts.events import Event
from tensorhop.errors import ServiceFault, step_of
from tensorhop.files import suffix_of
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.values.images.png import encode_png
from tensorhop.values.results import Description, Detections, Mask, ObjectFault, ObjectResult, Summary, levels_of
from tensorhop.web.accept import EVENTS, PICTURES, TENSOR, ZIP
from tensorhop.web.cutouts.parameters import NAMES
from tensorhop.web.problem import Refused
from tensorhop.web.responses import event_response, line, tensor_response, zip_response
from tensorhop.web.stream import Stream

REGION, CANVAS = "Tensor-Region", "Tensor-Canvas"


async def make(media: str, stream: Stream[Event], request_id: str, encoding: str) -> Response:
    """The answer of a media type, as soon as it can be begun; only events go on after that.

    Raises:
        ServiceFault: the request failed as a whole, or, of one picture, every object did.
        Refused: one picture was asked for, and nothing was found.
    """
    if media == EVENTS:
        return await event_response(
            stream, partial(event_text, request_id=request_id, encoding=encoding), request_id, NAMES
        )
    if media == TENSOR:
        return tensor(await best(stream))
    if media in PICTURES.values():
        return Response((await best(stream)).file, media_type=media)
    happened = [event async for event in stream]
    return await asyncio.to_thread(archive if media == ZIP else as_json, happened, request_id, encoding)


async def best(stream: Stream[Event]) -> ObjectResult:
    """The finished object of the best rank, as soon as it is known that no better one will come."""
    results: dict[int, ObjectResult] = {}
    faults: dict[int, ObjectFault] = {}
    async for event in stream:
        if isinstance(event, ObjectResult):
            results[event.detection.index] = event
        elif isinstance(event, ObjectFault):
            faults[event.detection.index] = event
        if results and all(index in faults for index in range(min(results))):
            break
    if results:
        return results[min(results)]
    if faults:
        raise service_fault(faults[min(faults)])
    raise Refused(404, "NOT_FOUND", "nothing was found in the photo; application/json tells more")


def service_fault(event: ObjectFault) -> ServiceFault:
    """An object's fault as that of the whole request."""
    fault = pb.Fault(
        step=step_of(event.step),
        service=event.step,
        code=f"CODE_{event.code}",
        field=event.field,
        message=event.message,
        retryable=event.retryable,
    )
    return ServiceFault(fault)


def tensor(result: ObjectResult) -> Response:
    """The picture's pixels, with dtype, shape and place in headers."""
    assert result.picture is not None
    place = {REGION: ",".join(map(str, result.picture.region)), CANVAS: "x".join(map(str, result.placement.canvas))}
    return tensor_response(result.picture.pixels, place)


def picture(result: ObjectResult, encoding: str) -> dict[str, Any]:
    assert result.file is not None
    return {"content_type": PICTURES[encoding], "data": base64.b64encode(result.file).decode()}


def mask_file(mask: Mask) -> bytes:
    """A grey PNG file of a mask's region: 255 is the object."""
    return encode_png(np.ascontiguousarray(levels_of(mask.alpha)))


def masks_of(event: Event) -> dict[str, Any]:
    """The member `mask` of an event that has one, and it is not empty."""
    mask = event.mask if isinstance(event, ObjectResult | ObjectFault) else None
    if mask is None or mask.region.empty:
        return {}
    data = base64.b64encode(mask_file(mask)).decode()
    return {"mask": {"content_type": PICTURES["png"], "data": data, "region": list(mask.region)}}


def report(happened: list[Event], request_id: str) -> dict[str, Any]:
    """All events as one object, without the pictures; objects and faults by rank."""
    rows = [(event, event_json(event)) for event in happened]
    for _, row in rows:
        del row["event"]
    told: dict[str, Any] = {"request_id": request_id, "description": None, "detections": [], "warnings": []}
    for event, row in rows:
        if isinstance(event, Description):
            told["description"] = row
        elif isinstance(event, Detections):
            told |= row
        elif isinstance(event, Summary):
            told["summary"] = row
    for name, kind in (("objects", ObjectResult), ("faults", ObjectFault)):
        told[name] = sorted((row for event, row in rows if isinstance(event, kind)), key=lambda row: row["index"])
    return told


def results_of(happened: list[Event]) -> list[ObjectResult]:
    return sorted((one for one in happened if isinstance(one, ObjectResult)), key=lambda one: one.detection.index)


def faults_of(happened: list[Event]) -> list[ObjectFault]:
    return sorted((one for one in happened if isinstance(one, ObjectFault)), key=lambda one: one.detection.index)


def as_json(happened: list[Event], request_id: str, encoding: str) -> Response:
    told = report(happened, request_id)
    for row, result in zip(told["objects"], results_of(happened), strict=True):
        row["picture"] = picture(result, encoding)
        row |= masks_of(result)
    for row, fault in zip(told["faults"], faults_of(happened), strict=True):
        row |= masks_of(fault)
    return Response(json.dumps(told), media_type="application/json")


def archive(happened: list[Event], request_id: str, encoding: str) -> Response:
    """A ZIP file: 0.png, 1.png and so on, 0-mask.png and so on if masks were asked for, and summary.json."""
    told, files = report(happened, request_id), {}
    for row, result in zip(told["objects"], results_of(happened), strict=True):
        row["file"] = f"{row['index']}{suffix_of(encoding)}"
        assert result.file is not None
        files[row["file"]] = result.file
        if result.mask is not None:
            row["mask"] = {"file": f"{row['index']}-mask.png", "region": list(result.mask.region)}
            files[row["mask"]["file"]] = mask_file(result.mask)
    return zip_response(files, told, "cutouts.zip")


def event_text(event: Event, request_id: str, encoding: str) -> bytes:
    row = {"request_id": request_id, **event_json(event)}
    if isinstance(event, ObjectResult):
        row["picture"] = picture(event, encoding)
    row |= masks_of(event)
    return line(row.pop("event"), row)

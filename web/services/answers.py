"""What goes out of a route to a single service: JSON, a ZIP file, events, or one picture as it is."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from tensorhop.errors import ServiceFault
from tensorhop.files import suffix_of
from tensorhop.web.accept import EVENTS, JSON, PICTURES, TENSOR, ZIP
from tensorhop.web.responses import event_response, line, tensor_response, zip_response
from tensorhop.web.services.work import Item
from tensorhop.web.stream import Stream

Lists = Sequence[str]  # the events that JSON collects, each kind as a list


async def make(
    media: str, stream: Stream[Item], request_id: str, encoding: str, names: Mapping[str, str], lists: Lists
) -> Response:
    """The answer of a media type, as soon as it can be begun; only events go on after that.

    Raises:
        ServiceFault: the request failed as a whole, or, of one picture, its item did.
    """
    if media == EVENTS:
        return await event_response(stream, partial(event_text, request_id=request_id), request_id, names)
    if media == TENSOR or media in PICTURES.values():
        return picture_response(await anext(stream), media)
    items = [item async for item in stream]
    return await asyncio.to_thread(archive if media == ZIP else as_json, items, request_id, encoding, lists)


def picture_response(item: Item, media: str) -> Response:
    if item.fault is not None:
        raise ServiceFault(item.fault)
    if media == TENSOR:
        return tensor_response(item.picture)  # type: ignore[arg-type]  # its format is that of pixels
    return Response(item.picture, media_type=media)


def event_text(item: Item, request_id: str) -> bytes:
    return line(item.name, {"request_id": request_id, **item.row})


def report(items: list[Item], request_id: str, lists: Lists) -> dict[str, Any]:
    """All items as one object: a list of each kind, by index where they have one, and the summary."""
    told: dict[str, Any] = {"request_id": request_id}
    for kind in lists:
        rows = [item.row for item in items if item.name == kind]
        told[f"{kind}s"] = sorted(rows, key=lambda row: row.get("index", 0))
    return told | {item.name: item.row for item in items if item.name not in lists}


def as_json(items: list[Item], request_id: str, encoding: str, lists: Lists) -> Response:
    return Response(json.dumps(report(items, request_id, lists)), media_type=JSON)


def archive(items: list[Item], request_id: str, encoding: str, lists: Lists) -> Response:
    """A ZIP file: the pictures, and summary.json, which names the file of each."""
    files = {}
    for item in items:
        if item.picture is not None:
            item.row["file"] = f"{item.file}{suffix_of(encoding)}"
            files[item.row["file"]] = item.picture
    return zip_response(files, report(items, request_id, lists), "pictures.zip")  # type: ignore[arg-type]  # files, not pixels

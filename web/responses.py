"""Answers that several routes give: events, raw pixels, and a ZIP file."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from starlette.responses import Response, StreamingResponse

from tensorhop.errors import ServiceFault
from tensorhop.values.dtypes import dtype_name
from tensorhop.web.accept import EVENTS, TENSOR, ZIP
from tensorhop.web.problem import members_of
from tensorhop.web.requests.upload import DTYPE, SHAPE
from tensorhop.web.stream import Stream

E = TypeVar("E")


async def event_response(
    stream: Stream[E], write: Callable[[E], bytes], request_id: str, names: Mapping[str, str]
) -> Response:
    """Server-sent events, each as soon as it is there. A request that fails on the way ends with the event "problem".

    Args:
        write: makes the text of an event, in a thread.
        names: as of `members_of`.

    Raises:
        ServiceFault: the request failed before its first event, so it has a status of its own.
    """
    first = await anext(stream)

    async def events() -> AsyncIterator[bytes]:
        try:
            yield await asyncio.to_thread(write, first)
            async for event in stream.ahead():
                yield await asyncio.to_thread(write, event)
        except ServiceFault as error:
            yield line("problem", members_of(error.fault, request_id, names=names))

    return StreamingResponse(events(), headers={"X-Accel-Buffering": "no"}, media_type=EVENTS)


def line(name: str, row: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(row)}\n\n".encode()


def tensor_response(pixels: np.ndarray, more: Mapping[str, str] | None = None) -> Response:
    """Pixels, row-major, with dtype and shape in headers; and more headers."""
    headers = {DTYPE: dtype_name(pixels), SHAPE: ",".join(map(str, pixels.shape)), **(more or {})}
    return Response(np.ascontiguousarray(pixels).tobytes(), headers=headers, media_type=TENSOR)


def zip_response(files: Mapping[str, bytes], told: Mapping[str, Any], name: str) -> Response:
    """A ZIP file with files, and with summary.json, which tells about them. It is to be saved under the name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as entries:  # stored: pictures are compressed already
        for entry, content in files.items():
            entries.writestr(entry, content)
        entries.writestr("summary.json", json.dumps(told, indent=2) + "\n")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file.getvalue(), headers=headers, media_type=ZIP)

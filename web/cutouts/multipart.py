"""The answer multipart/form-data: a part "message", and a part "image" for each object, as an older server gave it.

Its clients split the body at the boundary by hand. So each line break is CRLF, and nothing follows the last boundary.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from starlette.responses import Response

from tensorhop.client.cutouts.events import Event
from tensorhop.files import suffix_of
from tensorhop.values.output_options import LOSSY
from tensorhop.web.accept import MULTIPART, PICTURES
from tensorhop.web.cutouts.answers import faults_of, results_of, service_fault
from tensorhop.web.problem import Refused
from tensorhop.web.stream import Stream

DEFAULTS: dict[str, Any] = {"preset": "flask", "quality": 95}


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by parameter, over the DEFAULTS of this answer."""
    lossless = values.get("format", "jpeg") not in LOSSY
    return {name: value for name, value in DEFAULTS.items() if not (name == "quality" and lossless)} | dict(values)


async def make(stream: Stream[Event], text: str, encoding: str) -> Response:
    """The answer, when all objects are done: the best first, each file named after its object's rank.

    The message is `text`, or else how many objects there are; a line more for each object that failed.

    Raises:
        ServiceFault: the request failed as a whole, or every object did.
        Refused: nothing was found.
    """
    happened = [event async for event in stream]
    results, faults = results_of(happened), faults_of(happened)
    if faults and not results:
        raise service_fault(faults[0])
    if not results:
        raise Refused(404, "NOT_FOUND", "nothing was found in the photo")
    lines = [text or f"objects: {len(results)}"]
    lines += [f"object {one.detection.index} failed: {one.message}" for one in faults]
    pictures = {f"processed_image_{one.detection.index}{suffix_of(encoding)}": one.file or b"" for one in results}
    return await asyncio.to_thread(response, "\n".join(lines), PICTURES[encoding], pictures)


def refusal(told: Response) -> Response:
    """A problem in this form, with its status and headers; the message is its sentence."""
    kept = {name: value for name, value in told.headers.items() if name not in ("content-type", "content-length")}
    return response(json.loads(bytes(told.body))["detail"], status=told.status_code, headers=kept)


def response(
    message: str,
    kind: str = "",
    pictures: Mapping[str, bytes] | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The parts of an answer together.

    Args:
        kind: the media type of the pictures.
        pictures: files by name.
    """
    boundary = uuid4().hex
    parts = [b'Content-Disposition: form-data; name="message"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n']
    parts[0] += message.encode(errors="replace")
    for name, file in (pictures or {}).items():
        head = f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
        parts.append(head.encode() + file)
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    return Response(body, status, dict(headers or {}), f"{MULTIPART}; boundary={boundary}")

"""A stream of the Connect protocol as lines of JSON, or as server-sent events, for clients that know neither."""

import json
import struct
from typing import Any

from starlette.types import Message, Send

from tensorhop.errors import InvalidInput
from tensorhop.web.accept import EVENTS, JSON, LINES
from tensorhop.web.connect.faults import STATUS_OF

STREAMED = (LINES, EVENTS)  # what a stream that is asked for in plain JSON may be answered with
HEAD = struct.Struct(">BI")  # of an envelope: flags, and the length of what follows
COMPRESSED, LAST = 1, 2  # flags: of a message, and of the envelope that ends a stream, with an error if there was one


def envelope(data: bytes) -> bytes:
    """A message as the protocol sends it in a stream."""
    return HEAD.pack(0, len(data)) + data


def check_envelope(body: bytes, compressed: bool) -> None:
    """That a request is one message in its envelope; each of our methods takes one.

    Args:
        compressed: whether a header says how.

    Raises:
        InvalidInput: it is not. The library calls some of that an internal error.
    """
    if len(body) < HEAD.size:
        raise InvalidInput("request", f"has {len(body)} bytes; its envelope alone has {HEAD.size}")
    flags, size = HEAD.unpack_from(body)
    if flags not in (0, COMPRESSED):
        raise InvalidInput("request", f"has the flags {flags} in its envelope; known are 0 and {COMPRESSED}")
    if flags and not compressed:
        raise InvalidInput("request", "is compressed by the flags of its envelope, but no header says how")
    if size != len(body) - HEAD.size:
        raise InvalidInput(
            "request", f"has {len(body) - HEAD.size:,} bytes after its envelope's head, which says {size:,}"
        )


class Lines:
    """Takes what the library sends for a stream, one envelope at a time, and sends it on as lines or events.

    A request that fails before its first answer gets a status of its own, and the error as a unary method would tell
    it. Later, the last line is {"error": ...}, or the last event is named "error".
    """

    def __init__(self, media: str, send: Send) -> None:
        self._media, self._send = media, send
        self._start: Message | None = None  # until it is sent
        self._whole = False  # whether the answer is no stream: the library refuses headers before it begins one

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
            return
        if message["type"] == "http.response.start" or self._whole:
            self._whole = True
            await self._send(message)
            return
        body = message["body"]
        flags, data = (HEAD.unpack_from(body)[0], body[HEAD.size :]) if body else (LAST, b"{}")
        if not flags & LAST:
            await self._begin(200, self._media)
            await self._more(b"data: %b\n\n" % data if self._media == EVENTS else data + b"\n")
            return
        error = json.loads(data).get("error")
        if error and self._start is not None:
            await self._begin(STATUS_OF[error["code"]], JSON)
            await self._more(json.dumps(error).encode(), False)
            return
        await self._begin(200, self._media)
        await self._more(self._failure(error) if error else b"", False)

    def _failure(self, error: dict[str, Any]) -> bytes:
        if self._media == EVENTS:
            return f"event: error\ndata: {json.dumps(error)}\n\n".encode()
        return json.dumps({"error": error}).encode() + b"\n"

    async def _begin(self, status: int, media: str) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            kept = [(name, value) for name, value in start["headers"] if not name.lower().endswith(OWN)]
            headers = [*kept, (b"content-type", media.encode()), (b"x-accel-buffering", b"no")]
            await self._send({**start, "status": status, "headers": headers})

    async def _more(self, data: bytes, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


OWN = (b"content-type", b"content-encoding")  # headers of the library's answer that are not true of this one

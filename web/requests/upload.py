"""What comes in: a form, JSON or a raw tensor, of bounded size and in bounded time."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import read_json
from tensorhop.rpc.fairness.callers import Caller
from tensorhop.rpc.fairness.shares import FairShare
from tensorhop.settings import LEAST_RATE, Settings
from tensorhop.web.problem import Refused

FORM, JSON, TENSOR = "multipart/form-data", "application/json", "application/octet-stream"
DTYPE, SHAPE = "Tensor-Dtype", "Tensor-Shape"
BUSY_SECONDS = 1.0  # after which a client that was refused may try again
UPLOADS = 32  # times as many bodies are received at once as requests are worked on: they wait for slow lines
FULL_UPLOADS = 4  # of the largest size, that are held until they are whole
MAX_JSON_PARTS = 100_000  # base64 has none of the characters that part values; each value takes some 50 bytes of memory

T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """What a request holds, by its kind."""

    kind: str  # FORM, JSON or TENSOR
    query: list[tuple[str, str]]
    texts: list[tuple[str, str]] = field(default_factory=list)  # fields of a form
    files: list[tuple[str, bytes]] = field(default_factory=list)  # of a form, by field
    members: dict[str, Any] = field(default_factory=dict)  # of JSON
    elements: bytes = b""  # of a tensor, with what its headers say
    dtype: str = ""
    shape: str = ""


def most_bytes(settings: Settings) -> int:
    return min(settings.max_upload_bytes, settings.max_message_bytes)


def check(request: Request, settings: Settings) -> str:
    """The kind of content, before any of it is read.

    Raises:
        Refused: another kind, a length over the limit, or a Content-Encoding.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, JSON, TENSOR):
        known = ", ".join((FORM, JSON, TENSOR))
        raise Refused(415, "INVALID_ARGUMENT", f"Content-Type is {kind[:100] or 'missing'}; known are {known}")
    if encoding := request.headers.get("content-encoding", ""):
        raise Refused(415, "INVALID_ARGUMENT", f"Content-Encoding is {encoding[:100]}; send the content as it is")
    check_length(request, settings)
    return kind


def check_length(request: Request, settings: Settings) -> None:
    """Raises Refused: the request says that it has more bytes than the limit."""
    length = request.headers.get("content-length", "")  # of digits alone: the HTTP server has seen to that
    most = most_bytes(settings)
    if length and int(length) > most:
        raise too_large(f"{int(length):,}", most)


def too_large(size: str, most: int) -> Refused:
    return Refused(413, "RESOURCE_EXHAUSTED", f"the request has {size} bytes; at most {most:,} are allowed")


class Uploads:
    """Room for bodies that are being received, beside the requests that are worked on: bounded in number and bytes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._number = FairShare(UPLOADS * settings.max_requests)
        self._bytes = FairShare(FULL_UPLOADS * most_bytes(settings))

    async def receive(self, request: Request, kind: str, caller: Caller, read: Callable[[Content], T]) -> T:
        """Read the whole request.

        Args:
            read: what makes of the content what the route needs, in a thread.

        Raises:
            Refused: it grows over the limit, comes too slowly, or there is no room for it beside others.
            InvalidInput: it is broken, or as `read` does.
        """
        if not self._number.take(caller):
            raise no_room(f"{self._number.held} requests are being received")
        body = Body(request, self._settings, caller, self._bytes)
        try:
            if kind == FORM:
                content = await _form(request, aiter(body), self._settings.max_boxes + 3)
                return await asyncio.to_thread(read, content)
            whole = b"".join([chunk async for chunk in body])
            return await asyncio.to_thread(
                lambda: read(_json(request, whole) if kind == JSON else _tensor(request, whole))
            )
        finally:
            self._number.give_back(caller)
            body.give_back()


class Body:
    """A request's body as it comes.

    All of it must be there within `max_upload_seconds`, and a second later for each LEAST_RATE bytes that came; and
    some of it must come every `max_stall_seconds`.
    """

    def __init__(self, request: Request, settings: Settings, caller: Caller, room: FairShare) -> None:
        self._request, self._settings, self._caller, self._room = request, settings, caller, room
        self._started = time.monotonic()
        self._size = self._held = 0

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Raises Refused: it is too large, too slow, or there is no room for more of it."""
        most, stream = most_bytes(self._settings), aiter(self._request.stream())
        while True:
            chunk = await self._next(stream)
            self._size += len(chunk)
            if self._size > most:
                raise too_large(f"over {most:,}", most)
            if chunk and not self._room.take(self._caller, len(chunk)):
                raise no_room(f"{self._room.held:,} bytes of requests are being received")
            self._held += len(chunk)
            if not chunk:
                return
            yield chunk

    def give_back(self) -> None:
        """It is read, or given up."""
        if self._held:
            self._room.give_back(self._caller, self._held)

    async def _next(self, stream: AsyncIterator[bytes]) -> bytes:
        """The next chunk; an empty one at the end."""
        patience = self._settings.max_stall_seconds
        allowed = self._settings.max_upload_seconds + self._size / LEAST_RATE
        left = max(0.0, self._started + allowed - time.monotonic())
        try:
            async with asyncio.timeout(min(left, patience)):
                return await anext(stream, b"")
        except TimeoutError as error:
            message = f"the request was not there within {allowed:.3g} s (TENSORHOP_MAX_UPLOAD_SECONDS)"
            if patience < left:
                message = f"nothing of the request came for {patience:g} s (TENSORHOP_MAX_STALL_SECONDS)"
            raise Refused(408, "DEADLINE_EXCEEDED", message, headers={"Connection": "close"}) from error


def no_room(message: str) -> Refused:
    return Refused(503, "UNAVAILABLE", f"{message}, the most that may be", BUSY_SECONDS)


class _Parser(MultiPartParser):
    spool_max_size = 2**31  # in memory: its size is bounded already, and no photo goes to a disk


async def _form(request: Request, chunks: AsyncGenerator[bytes, None], max_files: int) -> Content:
    try:
        parser = _Parser(request.headers, chunks, max_files=max_files)
        items = (await parser.parse()).multi_items()
    except (MultiPartException, UnicodeError) as error:
        raise InvalidInput("form", f"is no multipart/form-data: {error}") from error
    texts = [(name, value) for name, value in items if isinstance(value, str)]
    files = [(name, await value.read()) for name, value in items if isinstance(value, UploadFile)]
    return Content(FORM, request.query_params.multi_items(), texts=texts, files=files)


def _tensor(request: Request, body: bytes) -> Content:
    """The body is the elements; headers say which."""
    dtype, shape = request.headers.get(DTYPE, ""), request.headers.get(SHAPE, "")
    return Content(TENSOR, request.query_params.multi_items(), elements=body, dtype=dtype, shape=shape)


def _json(request: Request, body: bytes) -> Content:
    return Content(JSON, request.query_params.multi_items(), members=read_members(body))


def read_members(body: bytes) -> dict[str, Any]:
    """The members of a body that is a JSON object. Raises InvalidInput."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_PARTS:
        raise InvalidInput("request", f"has over {MAX_JSON_PARTS:,} values; send tensors as base64")
    try:
        members = read_json(body)
    except ValueError as error:
        raise InvalidInput("request", f"is no JSON: {str(error)[:200]}") from error
    if not isinstance(members, dict):
        raise InvalidInput("request", "is no JSON object")
    return members

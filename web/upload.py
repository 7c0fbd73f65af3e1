"""What comes in: a form, JSON or a raw tensor, of bounded size and in bounded time."""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import read_json
from tensorhop.rpc.fairness.callers import Caller
from tensorhop.rpc.fairness.shares import FairShare
from tensorhop.settings import LEAST_RATE, Settings
from tensorhop.v1 import tensor_pb2
from tensorhop.values.images import decode_mask
from tensorhop.values.images.formats import readable_formats
from tensorhop.web.parameters import FILES, read
from tensorhop.web.problem import Refused
from tensorhop.wire.image_source import read_pixels
from tensorhop.wire.payloads import Payloads

FORM, JSON, TENSOR = "multipart/form-data", "application/json", "application/octet-stream"
DTYPE, SHAPE = "Tensor-Dtype", "Tensor-Shape"
DATA_URI = re.compile(r"\s*data:[^,]{0,200}?(?P<base64>;base64)?,", re.IGNORECASE)  # data:image/png;base64,iVBO...
NO_IMAGE = "is missing; give one"
BUSY_SECONDS = 1.0  # after which a client that was refused may try again
UPLOADS = 32  # times as many bodies are received at once as requests are worked on: they wait for slow lines
FULL_UPLOADS = 4  # of the largest size, that are held until they are whole
MAX_JSON_PARTS = 100_000  # base64 has none of the characters that part values; each value takes some 50 bytes of memory


@dataclass(frozen=True)
class Upload:
    """One request's content."""

    image: np.ndarray | bytes
    values: dict[str, Any]  # by parameter
    masks: list[np.ndarray] = field(default_factory=list)
    background_image: bytes | None = None


def most_bytes(settings: Settings) -> int:
    return min(settings.max_upload_bytes, settings.max_message_bytes)


def image_types() -> list[str]:
    """The media types of the image files that can be read."""
    Image.init()  # Pillow knows a type once it has loaded its plugin
    return [Image.MIME[name] for name in readable_formats() if name in Image.MIME]


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
    length = request.headers.get("content-length", "")  # of digits alone: the HTTP server has seen to that
    most = most_bytes(settings)
    if length and int(length) > most:
        raise too_large(f"{int(length):,}", most)
    return kind


def too_large(size: str, most: int) -> Refused:
    return Refused(413, "RESOURCE_EXHAUSTED", f"the request has {size} bytes; at most {most:,} are allowed")


class Uploads:
    """Room for bodies that are being received, beside the requests that are worked on: bounded in number and bytes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._number = FairShare(UPLOADS * settings.max_requests)
        self._bytes = FairShare(FULL_UPLOADS * most_bytes(settings))

    async def receive(self, request: Request, kind: str, caller: Caller) -> Upload:
        """Read the whole request.

        Raises:
            Refused: it grows over the limit, comes too slowly, or there is no room for it beside others.
            InvalidInput: it is broken, has not exactly one image, or a parameter that is not allowed.
        """
        if not self._number.take(caller):
            raise no_room(f"{self._number.held} requests are being received")
        body = Body(request, self._settings, caller, self._bytes)
        try:
            if kind == FORM:
                return await _form(request, aiter(body), self._settings.max_boxes + 3)
            read_body = _json if kind == JSON else _tensor
            return await asyncio.to_thread(read_body, request, b"".join([chunk async for chunk in body]))
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


async def _form(request: Request, chunks: AsyncGenerator[bytes, None], max_files: int) -> Upload:
    try:
        parser = _Parser(request.headers, chunks, max_files=max_files)
        items = (await parser.parse()).multi_items()
    except (MultiPartException, UnicodeError) as error:
        raise InvalidInput("form", f"is no multipart/form-data: {error}") from error
    texts = [(name, value) for name, value in items if isinstance(value, str)]
    files = [(name, await value.read()) for name, value in items if isinstance(value, UploadFile)]
    for name, _ in texts:
        if name in FILES:
            raise InvalidInput(name, "is text; send it as a file (curl: -F image=@photo.jpg)")
    for name, _ in files:
        if name not in FILES:
            raise InvalidInput(name[:100] or "form", f"is a file; the only files are {', '.join(FILES)}")
    images = [data for name, data in files if name == "image"]
    if len(images) != 1:
        raise InvalidInput("image", f"{NO_IMAGE}" if not images else f"came {len(images)} times; give one")
    masks = [data for name, data in files if name == "masks"]
    backgrounds = [data for name, data in files if name == "background_image"]
    if len(backgrounds) > 1:
        raise InvalidInput("background_image", f"came {len(backgrounds)} times; give one")
    values = read([*request.query_params.multi_items(), *texts])
    return Upload(images[0], values, await asyncio.to_thread(_decode, masks), *backgrounds)


def _decode(masks: list[bytes]) -> list[np.ndarray]:
    return [decode_mask(data, f"masks[{index}]") for index, data in enumerate(masks)]


def _tensor(request: Request, body: bytes) -> Upload:
    """The body is the elements; headers say which."""
    dtype, shape = request.headers.get(DTYPE, ""), request.headers.get(SHAPE, "")
    if not dtype or not shape:
        raise InvalidInput("image.tensor", f"lacks the headers {DTYPE} (UINT8) and {SHAPE} (height,width,3)")
    try:
        sizes = [int(part) for part in shape.split(",")]
    except ValueError as error:
        raise InvalidInput("image.tensor.shape", f"is {shape[:80]!r}; give height,width,3") from error
    return Upload(to_tensor(dtype, sizes, body), read(request.query_params.multi_items()))


def to_tensor(dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    """The array, by the one rule for tensors. Raises InvalidInput."""
    if not all(-(2**63) <= size < 2**63 for size in shape):
        raise InvalidInput("image.tensor.shape", "has a dimension of more than 64 bits")
    payloads = Payloads()
    tensor = tensor_pb2.Tensor(dtype=dtype[:100], shape=shape, data=payloads.put(data))
    return read_pixels(tensor, payloads, "image.tensor")


def _json(request: Request, body: bytes) -> Upload:
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_PARTS:
        raise InvalidInput("request", f"has over {MAX_JSON_PARTS:,} values; send tensors as base64")
    try:
        members = read_json(body)
    except ValueError as error:
        raise InvalidInput("request", f"is no JSON: {str(error)[:200]}") from error
    if not isinstance(members, dict):
        raise InvalidInput("request", "is no JSON object")
    image, masks = members.pop("image", None), members.pop("masks", [])
    background = _background(members.pop("background_image")) if "background_image" in members else None
    if not isinstance(image, dict):
        raise InvalidInput("image", f'{NO_IMAGE}: {{"encoded": base64}}, or {{"dtype", "shape", "data": base64}}')
    if not isinstance(masks, list) or not all(isinstance(mask, dict) for mask in masks):
        raise InvalidInput("masks", 'is no list of {"encoded": base64}')
    if masks and (unknown := {name for mask in masks for name in mask} - {"encoded"}):
        raise InvalidInput("masks", f"has {', '.join(sorted(unknown))[:100]}; a mask has encoded alone")
    files = [_base64(mask.get("encoded"), f"masks[{index}].encoded") for index, mask in enumerate(masks)]
    values = read(request.query_params.multi_items(), members)
    return Upload(_image(image), values, _decode(files), background)


def _background(background: Any) -> bytes:
    if not isinstance(background, dict) or background.keys() != {"encoded"}:
        raise InvalidInput("background_image", 'is no {"encoded": base64}')
    return _base64(background["encoded"], "background_image.encoded")


def _image(image: dict[str, Any]) -> np.ndarray | bytes:
    if image.keys() == {"encoded"}:
        return _base64(image["encoded"], "image.encoded")
    if image.keys() != {"dtype", "shape", "data"}:
        has = ", ".join(image)[:100] or "nothing"
        raise InvalidInput("image", f"has {has}; give encoded, or dtype, shape and data")
    dtype, shape = image["dtype"], image["shape"]
    if not isinstance(dtype, str) or not dtype.isascii():
        raise InvalidInput("image.tensor.dtype", "is no name; an image is UINT8")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidInput("image.tensor.shape", "is no list of whole numbers; an image is [height, width, 3]")
    return to_tensor(dtype, shape, _base64(image["data"], "image.tensor.data"))


def _base64(text: Any, name: str) -> bytes:
    """The bytes of base64, which may have line breaks, or stand in a data URI."""
    if not isinstance(text, str):
        raise InvalidInput(name, "is no text; give base64")
    if start := DATA_URI.match(text):
        if not start["base64"]:
            raise InvalidInput(name, "is a data URI without ;base64; give base64")
        text = text[start.end() :]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(name, f"is no base64: {error}") from error

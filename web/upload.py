"""What comes in: a form, JSON or a raw tensor, of bounded size and in bounded time."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import read_json
from tensorhop.settings import Settings
from tensorhop.v1 import tensor_pb2
from tensorhop.values.images import decode_mask
from tensorhop.web.parameters import read
from tensorhop.web.problem import Refused
from tensorhop.wire.image_source import read_pixels
from tensorhop.wire.payloads import Payloads

FORM, JSON, TENSOR = "multipart/form-data", "application/json", "application/octet-stream"
DTYPE, SHAPE = "Tensor-Dtype", "Tensor-Shape"
DATA_URI = re.compile(r"\s*data:[^,]{0,200}?(?P<base64>;base64)?,", re.IGNORECASE)  # data:image/png;base64,iVBO...
NO_IMAGE = "is missing; give one"
MAX_JSON_PARTS = 100_000  # base64 has none of the characters that part values; each value takes some 50 bytes of memory


@dataclass(frozen=True)
class Upload:
    """One request's content."""

    image: np.ndarray | bytes
    values: dict[str, Any]  # by parameter
    masks: list[np.ndarray] = field(default_factory=list)


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
    length = request.headers.get("content-length", "")  # of digits alone: the HTTP server has seen to that
    most = most_bytes(settings)
    if length and int(length) > most:
        raise too_large(f"{int(length):,}", most)
    return kind


def too_large(size: str, most: int) -> Refused:
    return Refused(413, "RESOURCE_EXHAUSTED", f"the request has {size} bytes; at most {most:,} are allowed")


async def receive(request: Request, kind: str, settings: Settings) -> Upload:
    """Read the whole request.

    Raises:
        Refused: it grows over the limit, or takes too long.
        InvalidInput: it is broken, has not exactly one image, or a parameter that is not allowed.
    """
    seconds, chunks = settings.max_upload_seconds, _chunks(request, most_bytes(settings))
    try:
        async with asyncio.timeout(seconds):
            if kind == FORM:
                return await _form(request, chunks, settings.max_boxes + 2)
            body = b"".join([chunk async for chunk in chunks])
    except TimeoutError as error:
        message = f"the request was not there within {seconds:g} s"
        raise Refused(408, "DEADLINE_EXCEEDED", message, headers={"Connection": "close"}) from error
    read_body = _json if kind == JSON else _tensor
    return await asyncio.to_thread(read_body, request, body)


async def _chunks(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large(f"over {most:,}", most)
        yield chunk


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
        if name in ("image", "masks"):
            raise InvalidInput(name, "is text; send it as a file (curl: -F image=@photo.jpg)")
    for name, _ in files:
        if name not in ("image", "masks"):
            raise InvalidInput(name[:100] or "form", "is a file; image and masks are the only files")
    images = [data for name, data in files if name == "image"]
    if len(images) != 1:
        raise InvalidInput("image", f"{NO_IMAGE}" if not images else f"came {len(images)} times; give one")
    masks = [data for name, data in files if name == "masks"]
    values = read([*request.query_params.multi_items(), *texts])
    return Upload(images[0], values, await asyncio.to_thread(_decode, masks))


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
    if not isinstance(image, dict):
        raise InvalidInput("image", f'{NO_IMAGE}: {{"encoded": base64}}, or {{"dtype", "shape", "data": base64}}')
    if not isinstance(masks, list) or not all(isinstance(mask, dict) for mask in masks):
        raise InvalidInput("masks", 'is no list of {"encoded": base64}')
    if masks and (unknown := {name for mask in masks for name in mask} - {"encoded"}):
        raise InvalidInput("masks", f"has {', '.join(sorted(unknown))[:100]}; a mask has encoded alone")
    files = [_base64(mask.get("encoded"), f"masks[{index}].encoded") for index, mask in enumerate(masks)]
    values = read(request.query_params.multi_items(), members)
    return Upload(_image(image), values, _decode(files))


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

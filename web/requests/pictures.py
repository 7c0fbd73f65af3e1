"""Pictures as they come in: base64 of a file, or a tensor, in JSON or as a whole body."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.v1 import tensor_pb2
from tensorhop.values.images.formats import readable_formats
from tensorhop.web.requests.upload import DTYPE, SHAPE, Content
from tensorhop.wire.image_source import read_pixels
from tensorhop.wire.payloads import Payloads

DATA_URI = re.compile(r"\s*data:[^,]{0,200}?(?P<base64>;base64)?,", re.IGNORECASE)  # data:image/png;base64,iVBO...


def image_types() -> list[str]:
    """The media types of the image files that can be read."""
    Image.init()  # Pillow knows a type once it has loaded its plugin
    return [Image.MIME[name] for name in readable_formats() if name in Image.MIME]


def check_fields(content: Content, names: Iterable[str], otherwise: str = "") -> None:
    """Raises InvalidInput: a text came in the place of a file of a form, or the other way round.

    Args:
        names: of the fields that are files.
        otherwise: what could be done in place of sending a file.
    """
    for name, _ in content.texts:
        if name in names:
            raise InvalidInput(name, f"is text; send it as a file (curl: -F {name}=@photo.jpg){otherwise}")
    for name, _ in content.files:
        if name not in names:
            raise InvalidInput(name[:100] or "form", f"is a file; the only files are {', '.join(names)}")


def raw_pixels(content: Content, field: str = "image") -> np.ndarray:
    """The pixels of a body that is a tensor: uint8, height x width x 3. Raises InvalidInput."""
    if not content.dtype or not content.shape:
        raise InvalidInput(f"{field}.tensor", f"lacks the headers {DTYPE} (UINT8) and {SHAPE} (height,width,3)")
    try:
        sizes = [int(part) for part in content.shape.split(",")]
    except ValueError as error:
        raise InvalidInput(f"{field}.tensor.shape", f"is {content.shape[:80]!r}; give height,width,3") from error
    return to_pixels(content.dtype, sizes, content.elements, field)


def to_pixels(dtype: str, shape: list[int], data: bytes, field: str) -> np.ndarray:
    """The array, by the one rule for tensors. Raises InvalidInput."""
    if not all(-(2**63) <= size < 2**63 for size in shape):
        raise InvalidInput(f"{field}.tensor.shape", "has a dimension of more than 64 bits")
    payloads = Payloads()
    tensor = tensor_pb2.Tensor(dtype=dtype[:100], shape=shape, data=payloads.put(data))
    return read_pixels(tensor, payloads, f"{field}.tensor")


def read_picture(image: dict[str, Any], field: str = "image") -> np.ndarray | bytes:
    """The picture of a JSON object: the bytes of a file, or pixels (uint8, height x width x 3). Raises InvalidInput."""
    if image.keys() == {"encoded"}:
        return read_base64(image["encoded"], f"{field}.encoded")
    if image.keys() != {"dtype", "shape", "data"}:
        has = ", ".join(image)[:100] or "nothing"
        raise InvalidInput(field, f"has {has}; give encoded, or dtype, shape and data")
    dtype, shape = image["dtype"], image["shape"]
    if not isinstance(dtype, str) or not dtype.isascii():
        raise InvalidInput(f"{field}.tensor.dtype", "is no name; an image is UINT8")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidInput(f"{field}.tensor.shape", "is no list of whole numbers; an image is [height, width, 3]")
    return to_pixels(dtype, shape, read_base64(image["data"], f"{field}.tensor.data"), field)


def read_base64(text: Any, name: str) -> bytes:
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

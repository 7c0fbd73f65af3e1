"""What programs hold as pictures, masks and phrases, as the contract takes them."""

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.v1 import image_pb2
from tensorhop.values.geometry import Region
from tensorhop.values.images.png import encode_png
from tensorhop.values.results import Mask
from tensorhop.wire.messages import write_image, write_mask
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Order = Literal["rgb", "bgr"]
# Pixels, a file's bytes, a picture of Pillow, or the path of a local file.
Picture = "np.ndarray | bytes | bytearray | memoryview | Image | str | PathLike[str]"
MaskInput = "Mask | np.ndarray | Image"


def write_picture(picture: Any, payloads: Payloads, order: Order = "rgb", field: str = "image") -> image_pb2.Image:
    """The image message of a picture.

    Args:
        picture: pixels, uint8: height x width x 3 (colour), x 4 (colour and alpha), x 1 or height x width (grey); the
            bytes of an image file; a picture of Pillow; or the path of a local image file.
        order: of the channels of pixels; "bgr" is OpenCV's.
        field: what an error names.

    Raises:
        InvalidInput: an array of another shape or dtype, something else than these, or another order.
        OSError: the path cannot be read.
    """
    if order not in ("rgb", "bgr"):
        raise InvalidInput("order", f"is {order!r}; it must be 'rgb' or, as OpenCV has it, 'bgr'")
    if isinstance(picture, np.ndarray):
        return _write_pixels(picture, payloads, order, field)
    if order == "bgr":
        raise InvalidInput("order", "is 'bgr', which is for arrays only; files and pictures of Pillow say theirs")
    if isinstance(picture, bytes | bytearray | memoryview):
        return image_pb2.Image(encoded=payloads.put(memoryview(picture).cast("B")))
    if _is_pillow(picture):
        return _write_pillow(picture, payloads, field)
    if isinstance(picture, str | PathLike):
        return image_pb2.Image(encoded=payloads.put(Path(fspath(picture)).read_bytes()))
    raise InvalidInput(
        field,
        f"is a {type(picture).__name__}; give a numpy array (uint8, height x width x 3, RGB), a file's bytes, a "
        "picture of Pillow, or a path",
    )


def pixels_of(picture: Any, order: Order = "rgb") -> np.ndarray:
    """The pixels of a picture, decoded here. Takes and raises what `write_picture` does.

    Returns:
        uint8, height x width x 3, sRGB, upright.
    """
    from tensorhop.wire.image_source import read_image

    payloads = Payloads()
    return read_image(write_picture(picture, payloads, order), payloads)


def to_mask(mask: Any, field: str = "masks") -> Mask:
    """A mask of a whole photo.

    Args:
        mask: a Mask; an array, height x width: bool, uint8 0 to 255, or floating 0 to 1; or a grey or black-and-white
            picture of Pillow.

    Raises:
        InvalidInput: something else.
    """
    if isinstance(mask, Mask):
        return mask
    if _is_pillow(mask):
        mask = np.asarray(mask if mask.mode in ("1", "L") else mask.convert("L"))
    if not isinstance(mask, np.ndarray) or mask.ndim != 2:
        shape = f"an array of shape {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InvalidInput(field, f"is {shape}; a mask is an array of height x width: bool, uint8 or float32")
    if mask.dtype == bool:
        mask = mask.astype(np.uint8) * 255
    elif mask.dtype.kind == "f":
        mask = mask.astype(np.float32, copy=False)
    return Mask(mask, Region(0, 0, mask.shape[1], mask.shape[0]))


def write_given_mask(mask: Any, payloads: Payloads, field: str) -> image_pb2.Mask:
    """The message of a mask. Takes and raises what `to_mask` does.

    All but a Mask goes without a region: it is of the whole photo, and refused where the photo has another size.
    """
    if isinstance(mask, Mask):
        return write_mask(mask, payloads)
    return image_pb2.Mask(alpha=to_tensor(to_mask(mask, field).alpha, payloads))


def to_phrases(phrases: str | Sequence[str]) -> list[str]:
    """A list of phrases; one text is one phrase. Raises InvalidInput: one of them is no text."""
    found = [phrases] if isinstance(phrases, str) else list(phrases)
    for index, phrase in enumerate(found):
        if not isinstance(phrase, str):
            raise InvalidInput(f"phrases[{index}]", f"is a {type(phrase).__name__}; a phrase is text")
    return found


def _write_pixels(pixels: np.ndarray, payloads: Payloads, order: Order, field: str) -> image_pb2.Image:
    shape = list(pixels.shape)
    if pixels.dtype != np.uint8:
        hint = "; multiply by 255 and convert it" if pixels.dtype.kind == "f" else ""
        raise InvalidInput(field, f"is an array of {pixels.dtype}; an image is uint8, 0 to 255{hint}")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        hint = "; this one looks like channels first: transpose(1, 2, 0)" if shape[0] in (1, 3, 4) else ""
        raise InvalidInput(field, f"has shape {shape}; it must be height x width x 3 (or 4, or 1){hint}")
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if order == "bgr":
        pixels = pixels[..., [2, 1, 0, 3]] if pixels.shape[2] == 4 else pixels[..., ::-1]
    if pixels.shape[2] == 4:
        if pixels[..., 3].min(initial=255) < 255:  # as a file, which can have an alpha channel
            return image_pb2.Image(encoded=payloads.put(encode_png(np.ascontiguousarray(pixels))))
        pixels = pixels[..., :3]
    return write_image(pixels, payloads)


def _is_pillow(value: object) -> bool:
    """Whether a value is a picture of Pillow; a program that has none need not import it."""
    return any(f"{kind.__module__}.{kind.__name__}" == "PIL.Image.Image" for kind in type(value).__mro__)


def _write_pillow(picture: "Image", payloads: Payloads, field: str) -> image_pb2.Image:
    from tensorhop.values.images import to_srgb, upright

    image, alpha = to_srgb(upright(picture), field)
    pixels = np.asarray(image)
    return _write_pixels(pixels if alpha is None else np.dstack([pixels, alpha]), payloads, "rgb", field)

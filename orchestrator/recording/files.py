"""A tensor, or an image file, as a file that standard tools open; and back."""

import io

import numpy as np
from google.protobuf.message import Message
from PIL import Image

from tensorhop.v1 import tensor_pb2
from tensorhop.values.dtypes import DTYPES
from tensorhop.values.images.decoding import kind_of
from tensorhop.values.images.png import COLOUR_TYPES, encode_png
from tensorhop.values.results import levels_of

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif"}


def array_of(tensor: tensor_pb2.Tensor, content: bytes | memoryview) -> np.ndarray:
    """The array of a tensor whose elements are given."""
    return np.ndarray(tuple(tensor.shape), DTYPES[tensor.dtype], content)


def file_of(holder: Message, content: memoryview) -> tuple[str, bytes]:
    """The suffix and the bytes of the file for the content of a `bytes` field.

    A tensor becomes a PNG file if it is UINT8 and grey, RGB or RGBA, which loses nothing, otherwise an .npy file. Any
    other content is an image file already.
    """
    if not isinstance(holder, tensor_pb2.Tensor):
        return SUFFIXES.get(kind_of(content) or "", ".bin"), bytes(content)
    array = array_of(holder, content)
    return (".png", encode_png(array)) if is_picture(array) else (".npy", npy_of(array))


def is_picture(array: np.ndarray) -> bool:
    """Whether an array is uint8, not empty, and height x width, height x width x 3 or height x width x 4."""
    channels = 1 if array.ndim == 2 else array.shape[-1] if array.ndim == 3 and array.shape[-1] != 1 else 0
    return array.dtype == np.uint8 and array.size > 0 and channels in COLOUR_TYPES


def npy_of(array: np.ndarray) -> bytes:
    """The .npy file of an array."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def both_of(stem: str, array: np.ndarray) -> dict[str, bytes]:
    """An array (uint8, or float 0 to 1) as an .npy file, and as a PNG file unless it is empty, by name."""
    files = {f"{stem}.npy": npy_of(array)}
    picture = levels_of(array)
    return files | ({f"{stem}.png": encode_png(picture)} if is_picture(picture) else {})


def elements_of(name: str, data: bytes) -> bytes:
    """The elements of a tensor from the file that `file_of` made: row-major, little-endian.

    Raises:
        OSError, ValueError: it is no such file.
    """
    if name.endswith(".npy"):
        array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
        return array.tobytes()
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        return np.asarray(picture).tobytes()

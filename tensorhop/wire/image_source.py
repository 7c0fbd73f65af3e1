"""The pixels of a message's image, which is a tensor, the bytes of a file, or an allowed path."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tensorhop.errors import InvalidInput, NotShared
from tensorhop.settings import current_settings
from tensorhop.v1 import image_pb2 as pb
from tensorhop.v1 import tensor_pb2
from tensorhop.values.images import Photo, check_size, decode_photo
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


def read_image(image: pb.Image, payloads: Payloads, field: str = "image") -> np.ndarray:
    """The pixels of a message: uint8, height x width x 3, sRGB. Raises InvalidInput as `read_photo` does."""
    return read_photo(image, payloads, field).pixels


def image_readers(images: Sequence[pb.Image], payloads: Payloads) -> list[Callable[[], np.ndarray]]:
    """For each entry of the field `images`, a function that reads it as `read_image` does.

    Files are decoded when their turn comes, so a long list is never in memory as a whole.

    Raises:
        InvalidInput: the list is empty.
        NotShared: a tensor is in a slot that this process cannot open. The caller sends all of the request again, with
            the bytes inside, so it is found before any work.
    """
    if not images:
        raise InvalidInput("images", "is empty; give at least one image")
    fields = [f"images[{index}]" for index in range(len(images))]
    for image, field in zip(images, fields, strict=True):
        if image.tensor.HasField("shared_memory"):
            try:
                read_image(image, payloads, field)
            except NotShared:
                raise
            except InvalidInput:  # of this image alone
                continue
    return [partial(read_image, image, payloads, field) for image, field in zip(images, fields, strict=True)]


def read_photo(image: pb.Image, payloads: Payloads, field: str = "image") -> Photo:
    """The pixels of a message, with their alpha if it is a file with transparent pixels.

    Raises:
        InvalidInput: there is no source, the tensor is not such an array, the file cannot be decoded, there are too
            many pixels, or the path is not allowed.
    """
    source = image.WhichOneof("source")
    if source is None:
        raise InvalidInput(field, "is missing; give tensor, encoded or path")
    if source == "encoded":
        return decode_photo(payloads.get(image.encoded), f"{field}.encoded")
    if source == "path":
        return decode_photo(read_path(image.path, f"{field}.path"), f"{field}.path")
    return Photo(read_pixels(image.tensor, payloads, f"{field}.tensor"))


def read_pixels(tensor: tensor_pb2.Tensor, payloads: Payloads, field: str) -> np.ndarray:
    """The pixels of a tensor: uint8, height x width x 3.

    Raises:
        InvalidInput: the tensor is malformed, of another dtype or shape, or has too many pixels.
    """
    array = to_array(tensor, payloads, field)
    if array.dtype != np.uint8:
        raise InvalidInput(f"{field}.dtype", f"is {tensor.dtype}; an image is UINT8")
    if array.ndim != 3 or array.shape[2] != 3:
        raise InvalidInput(
            f"{field}.shape", f"is {list(array.shape)}; an image is [height, width, 3], its channels R, G, B"
        )
    check_size(array.shape[1], array.shape[0], f"{field}.shape")
    return array


def read_path(path: str, field: str) -> bytes:
    """The bytes of a file under the allowed root. Raises InvalidInput as `find_path` does, or it cannot be read."""
    found = find_path(path, field)
    with _readable(field), found.open("rb") as file:
        return file.read(current_settings().max_message_bytes)


def find_path(path: str, field: str) -> Path:
    """A file under the allowed root (TENSORHOP_ALLOW_PATH). Symbolic links and `..` must not leave it.

    Raises:
        InvalidInput: paths are off, the path leaves the root, or there is no such file.
    """
    if not current_settings().allow_path:
        raise InvalidInput(field, "is given, but paths are off; start the service with --allow-path, or send encoded")
    root = Path(current_settings().allow_path).resolve()
    with _readable(field):
        if not (root / path).resolve().is_relative_to(root):
            raise InvalidInput(field, "leaves the allowed folder")
        found = (root / path).resolve(strict=True)
        most = current_settings().max_message_bytes
        if found.stat().st_size > most or not found.is_file():
            raise InvalidInput(field, f"must name a file of at most {most:,} bytes")
        return found


@contextlib.contextmanager
def _readable(field: str) -> Iterator[None]:
    """Raises InvalidInput in the place of what the system says of a path."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, InvalidInput):
            raise
        reason = getattr(error, "strerror", None) or "it is not a path"  # does not reveal this machine's folders
        raise InvalidInput(field, f"cannot be read: {reason}") from error

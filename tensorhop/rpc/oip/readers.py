"""Readers of inputs that several pages share: each reads a tensor into a field of a request."""

from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.rpc.oip.page import Reader
from tensorhop.rpc.oip.tensors import BYTES, GivenTensor
from tensorhop.v1 import image_pb2
from tensorhop.v1.camera_pb2 import Camera, CameraPair
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import write_image
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor

FLOATS = ("FP32", "FP64", "FP16", "BF16")
INTS = ("INT32", "INT64", "INT16", "INT8", "UINT8", "UINT16", "UINT32")
CAMERA = [field.name for field in Camera.DESCRIPTOR.fields]  # yaw, pitch, roll, vfov, xi


def image(name: str) -> Reader:
    """Of a picture: a tensor, or a whole image file as one element of BYTES."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        getattr(request, name).CopyFrom(picture_of(given, payloads))

    return read


def decoded_image(name: str) -> Reader:
    """Of a picture whose size the answer needs: a file is decoded here, and nowhere else."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        picture = picture_of(given, payloads)
        if given.datatype == BYTES:
            picture = write_image(read_image(picture, payloads, name), payloads)
        getattr(request, name).CopyFrom(picture)

    return read


def picture_of(given: GivenTensor, payloads: Payloads) -> image_pb2.Image:
    """The message of a picture. Raises InvalidInput: it is BYTES with more or less than one element."""
    if given.datatype != BYTES:
        return image_pb2.Image(tensor=given.tensor(payloads))
    files = given.elements()
    if len(files) != 1:
        raise InvalidInput(given.field, f"has {len(files)} elements of BYTES; a picture is one image file")
    return image_pb2.Image(encoded=payloads.put(files[0]))


def images(name: str) -> Reader:
    """Of pictures: a tensor of pictures of one size, or a whole image file in each element of BYTES."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        target = getattr(request, name)
        if given.datatype == BYTES:
            target.extend(image_pb2.Image(encoded=payloads.put(one)) for one in given.elements())
        else:
            target.extend(write_image(one, payloads) for one in given.rows(("UINT8",), (-1, -1, -1, 3)))

    return read


def texts(name: str) -> Reader:
    """Of a list of texts: BYTES in UTF-8."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        getattr(request, name).extend(given.texts())

    return read


def boxes(name: str) -> Reader:
    """Of boxes: x0, y0, x1, y1 in pixels in each row, of any type of floating-point number."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        rows = given.rows(FLOATS, (-1, 4)).astype(np.float32).tolist()
        getattr(request, name).extend(image_pb2.Box(x0=x0, y0=y0, x1=x1, y1=y1) for x0, y0, x1, y1 in rows)

    return read


def numbers(name: str) -> Reader:
    """Of a list of whole numbers."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        getattr(request, name).extend(given.rows(INTS, (-1,)).tolist())

    return read


def masks(name: str) -> Reader:
    """Of masks of the whole photo: UINT8 0 to 255 or FP32 0 to 1, a mask each."""

    def read(given: GivenTensor, request: Any, payloads: Payloads) -> None:
        for one in given.rows(("UINT8", "FP32"), (-1, -1, -1)):
            getattr(request, name).add().alpha.CopyFrom(to_tensor(one, payloads))

    return read


def camera_pairs(given: GivenTensor, array: np.ndarray) -> list[CameraPair]:
    """The messages of pairs of cameras: float64, n x 2 x 5; each is yaw, pitch, roll, vfov, xi."""
    both = [[Camera(**dict(zip(CAMERA, camera, strict=True))) for camera in pair] for pair in array.tolist()]
    return [CameraPair(left=left, right=right) for left, right in both]


def interval_cameras(given: GivenTensor, request: Any, payloads: Payloads) -> None:
    """Cameras of each interval and panorama; the intervals are those of the input INTERVALS, or else 1, 2, ..."""
    array = given.rows(FLOATS, (-1, -1, 2, 5)).astype(np.float64)
    if array.shape[0] * array.shape[1] > 1000:
        raise InvalidInput(f"{given.field}.shape", f"is {[*array.shape]}; at most 1,000 pairs are allowed")
    named = list(request.intervals) or range(1, len(array) + 1)
    if len(named) != len(array):
        raise InvalidInput(f"{given.field}.shape", f"is {[*array.shape]}; INTERVALS names {len(named)} intervals")
    del request.intervals[:]
    for number, pairs in zip(named, array, strict=True):
        request.cameras.add(interval=number, cameras=camera_pairs(given, pairs))


def write_cameras(pair: CameraPair) -> np.ndarray:
    """A pair of cameras as float64, 2 x 5."""
    return np.stack([write_camera(pair.left), write_camera(pair.right)])


def write_camera(camera: Camera) -> np.ndarray:
    """A camera as float64: yaw, pitch, roll, vfov, xi."""
    return np.array([getattr(camera, name) for name in CAMERA], np.float64)

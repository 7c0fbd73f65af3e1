"""Conversion between the contract's messages of panoramas, cameras and views, and plain values."""

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import numpy as np

from tensorhop.errors import InvalidInput, NotShared
from tensorhop.v1 import camera_pb2, image_pb2
from tensorhop.values.geometry import Size, size_of
from tensorhop.values.images import check_size
from tensorhop.values.panoramas import INTERVALS, Camera, CameraPair, Panorama, check_panorama
from tensorhop.wire.image_source import read_image
from tensorhop.wire.payloads import Payloads

VIEW = Size(512, 512)  # pixels, if the caller names none
LONGEST_VIEW = 4096  # pixels of a side
MAX_PANORAMAS = 2
VIEWS, MOST_VIEWS = 9, 100  # between two cameras: if the caller names no number, and at most

P = ParamSpec("P")
T = TypeVar("T")


def read_panoramas(
    images: Sequence[image_pb2.Image], payloads: Payloads, any_ratio: bool, field: str = "panoramas"
) -> list[Panorama | InvalidInput]:
    """The panoramas of a request; in the place of a bad one, what is wrong with it.

    Raises:
        InvalidInput: there are none or more than two, or all of them are bad.
        NotShared: one refers to a slot that this process cannot open.
    """
    check_panorama_count(len(images), field)
    return not_all_bad(
        [item_of(read_panorama, image, payloads, any_ratio, f"{field}[{index}]") for index, image in enumerate(images)]
    )


def read_panorama(image: image_pb2.Image, payloads: Payloads, any_ratio: bool, field: str) -> Panorama:
    """The panorama of a message. Raises InvalidInput as `read_panorama_pixels` does."""
    return Panorama(read_panorama_pixels(image, payloads, any_ratio, field))


def read_panorama_pixels(image: image_pb2.Image, payloads: Payloads, any_ratio: bool, field: str) -> np.ndarray:
    """The pixels of a panorama: uint8, height x width x 3, sRGB.

    Raises:
        InvalidInput: as `read_image` and `check_panorama` do.
    """
    pixels = read_image(image, payloads, field)
    check_panorama(size_of(pixels), any_ratio, field)
    return pixels


def check_panorama_count(count: int, field: str = "panoramas") -> None:
    """Raises InvalidInput: a request has no panorama, or more than two."""
    if not 1 <= count <= MAX_PANORAMAS:
        raise InvalidInput(field, f"has {count} entries; it must have from 1 to {MAX_PANORAMAS}")


def item_of(read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | InvalidInput:
    """What a function reads, or the fault that it raises. Raises NotShared, which is about the whole request."""
    try:
        return read(*arguments, **named)
    except NotShared:
        raise
    except InvalidInput as error:
        return error


def not_all_bad(items: list[T | InvalidInput]) -> list[T | InvalidInput]:
    """The items. Raises the first's InvalidInput if all are bad: then the request as a whole is."""
    if items and isinstance(items[0], InvalidInput) and all(isinstance(one, InvalidInput) for one in items):
        raise items[0]
    return items


def read_view_size(message: image_pb2.Size | None, across: int = 1, field: str = "view") -> Size:
    """The size of a view; 512 x 512 if there is no message.

    Args:
        across: how many views make one picture, side by side.

    Raises:
        InvalidInput: a side is out of range, or the picture has more pixels than the settings allow.
    """
    if message is None:
        return VIEW
    size = Size(message.width, message.height)
    for name, value in size._asdict().items():
        if not 1 <= value <= LONGEST_VIEW:
            raise InvalidInput(f"{field}.{name}", f"is {value}; it must be from 1 to {LONGEST_VIEW:,} pixels")
    check_size(across * size.width, size.height, field)
    return size


def read_interval_numbers(numbers: Sequence[int], field: str) -> list[int]:
    """The numbers of intervals.

    Args:
        field: of one of them, with a place for its index, such as "intervals[{}]".

    Raises:
        InvalidInput: one is not from 1 to 8, or comes twice.
    """
    for index, number in enumerate(numbers):
        if number not in INTERVALS:
            raise InvalidInput(field.format(index), f"is {number}; it must be from {INTERVALS[0]} to {INTERVALS[-1]}")
        if number in numbers[:index]:
            raise InvalidInput(field.format(index), f"is {number} again; each interval may come once")
    return list(numbers)


def read_camera(message: camera_pb2.Camera, field: str) -> Camera:
    """The camera of a message. Raises InvalidInput as `Camera.check` does."""
    camera = Camera(message.yaw, message.pitch, message.roll, message.vfov, message.xi)
    camera.check(field)
    return camera


def read_camera_pair(message: camera_pb2.CameraPair, field: str) -> CameraPair:
    """The cameras of a message. Raises InvalidInput: one is missing, or as `Camera.check` does."""
    for name in CameraPair._fields:
        if not message.HasField(name):
            raise InvalidInput(f"{field}.{name}", "is missing; give both cameras")
    return CameraPair(read_camera(message.left, f"{field}.left"), read_camera(message.right, f"{field}.right"))


def write_camera(camera: Camera) -> camera_pb2.Camera:
    return camera_pb2.Camera(yaw=camera.yaw, pitch=camera.pitch, roll=camera.roll, vfov=camera.vfov, xi=camera.xi)


def write_camera_pair(cameras: CameraPair) -> camera_pb2.CameraPair:
    return camera_pb2.CameraPair(left=write_camera(cameras.left), right=write_camera(cameras.right))

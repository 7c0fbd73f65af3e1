"""Layers and masks on the whole canvas, as a client without regions wants them."""

from typing import Any

import numpy as np

from tensorhop.rpc.oip.stacking import check_bytes
from tensorhop.values.geometry import Region, Size, size_of
from tensorhop.values.results import levels_of
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_layer, read_region
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


def photo_size(request: Packet[Any]) -> Size:
    """The size of the upright photo of a request. A file is decoded for that once more."""
    message, payloads = request
    if message.image.HasField("tensor"):
        return Size(message.image.tensor.shape[1], message.image.tensor.shape[0])
    return size_of(read_image(message.image, payloads))


def placed_mask(mask: Any, payloads: Payloads, photo: Size) -> np.ndarray:
    """The alpha of a Mask on the whole photo: uint8, height x width. Raises InvalidInput: as `placed` does."""
    alpha = levels_of(to_array(mask.alpha, payloads, "mask.alpha"))
    return placed(alpha, read_region(mask.region), photo)


def placed_layer(answer: Any, name: str, payloads: Payloads, canvas: Size) -> np.ndarray:
    """A layer of an answer on the whole canvas: uint8, height x width x 4, straight alpha; 0 if there is none.

    Raises:
        InvalidInput: as `placed` does.
    """
    if not answer.HasField(name):
        return placed(np.zeros((0, 0, 4), np.uint8), Region(0, 0, 0, 0), canvas)
    layer = read_layer(getattr(answer, name), payloads, name)
    return placed(layer.pixels, layer.region, canvas)


def placed(pixels: np.ndarray, region: Region, canvas: Size) -> np.ndarray:
    """Pixels, height x width or height x width x channels, on a canvas that is 0 elsewhere.

    Raises:
        InvalidInput: the canvas does not fit into a message.
    """
    if region == Region.of(canvas):
        return pixels
    shape = (canvas.height, canvas.width, *pixels.shape[2:])
    check_bytes(int(np.prod(shape, dtype=object)) * pixels.itemsize, "outputs")
    whole = np.zeros(shape, pixels.dtype)
    if not region.empty:
        whole[region.slices] = pixels
    return whole

"""Layers and masks on the whole canvas, as a client without regions wants them."""

import numpy as np

from tensorhop.rpc.oip.stacking import check_bytes
from tensorhop.values.geometry import Region, Size


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

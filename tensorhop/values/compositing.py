"""Layers laid over each other: the one rule by which cut-outs and shadows become a picture."""

from collections.abc import Iterable

import numpy as np

from tensorhop.values.geometry import Region
from tensorhop.values.results import Layer


def compose(layers: Iterable[Layer], region: Region) -> np.ndarray:
    """A part of a canvas with layers on it.

    Source-over (Porter and Duff, 1984) on the sRGB values as they are, as viewers and browsers do it. Where only one
    layer is not transparent, or the upper one is opaque, its pixels come out to the bit.

    Args:
        layers: the bottom layer first. They may reach beyond the region or not touch it.
        region: the pixels of the canvas that are wanted, not empty.

    Returns:
        Straight-alpha RGBA, uint8, height x width x 4 of the region; 0, 0, 0, 0 where nothing is.
    """
    width, height = region.size
    canvas = np.zeros((height, width, 4), np.uint8)
    for layer in layers:
        overlap = layer.region.intersect(region)
        if overlap.empty:
            continue
        below = canvas[overlap.moved(-region.x0, -region.y0).slices]
        above = layer.pixels[overlap.moved(-layer.region.x0, -layer.region.y0).slices]
        lay_over(above, below)
    return canvas


def flatten(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """RGBA pixels, height x width x 4, over a colour, as `compose` does it: opaque; where alpha is 0, that colour."""
    canvas = np.empty_like(pixels)
    canvas[:] = (*colour, 255)
    lay_over(pixels, canvas)
    return canvas


def lay_over(above: np.ndarray, below: np.ndarray) -> None:
    """Puts RGBA pixels over others of the same shape, in place."""
    covers = (above[..., 3] == 255) | ((below[..., 3] == 0) & (above[..., 3] > 0))
    np.copyto(below, above, where=covers[..., None])
    mixed = np.flatnonzero((above[..., 3] > 0) & ~covers)
    if not mixed.size:
        return
    rows, columns = np.divmod(mixed, below.shape[1])
    over, under = above[rows, columns].astype(np.float32), below[rows, columns].astype(np.float32)
    kept = under[:, 3] * (255 - over[:, 3]) / 255
    alpha = over[:, 3] + kept
    color = (over[:, :3] * over[:, 3:] + under[:, :3] * kept[:, None]) / alpha[:, None]
    below[rows, columns] = np.rint(np.column_stack([color, alpha])).astype(np.uint8)

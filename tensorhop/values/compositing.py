"""Compositing: the one rule by which layers, such as a cut-out and its shadow, become a picture."""

from collections.abc import Iterable

import numpy as np

from tensorhop.values.geometry import Region
from tensorhop.values.results import Layer


def compose(layers: Iterable[Layer], region: Region) -> np.ndarray:
    """A region of a canvas with layers composited on it.

    The rule is source-over (Porter and Duff, "Compositing digital images", 1984) on sRGB values, as viewers and
    browsers do. Where only one layer is not transparent, or the upper one is opaque, its pixels stay bit-exact.

    Args:
        layers: straight-alpha RGBA, uint8; the bottom layer first. They may reach beyond the region or not touch it.
        region: the pixels of the canvas that are wanted; not empty.

    Returns:
        Straight-alpha RGBA, uint8, height x width x 4 of the region; 0, 0, 0, 0 where there is no layer.
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
    """Pixels composited over a plain colour by the rule of `compose`.

    Args:
        pixels: straight-alpha RGBA, uint8, height x width x 4.
        colour: red, green, blue: sRGB, 0 to 255.

    Returns:
        Opaque RGBA, uint8, height x width x 4: exactly the colour where alpha was 0.
    """
    canvas = np.empty_like(pixels)
    canvas[:] = (*colour, 255)
    lay_over(pixels, canvas)
    return canvas


def lay_over(above: np.ndarray, below: np.ndarray) -> None:
    """Composite pixels over others, which are changed in place. Both are straight-alpha RGBA, uint8, of one shape."""
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

"""A picture made tile by tile, whose overlaps are blended, so that memory does not grow with what makes a tile."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np


def blend_tiles(
    height: int, width: int, tile: int, overlap: int, make: Callable[[slice, slice], np.ndarray]
) -> np.ndarray:
    """The picture that tiles make together.

    In an overlap the weight of a tile falls in a straight line while that of its neighbour rises. Tiles have the same
    size; the last of a row or column overlaps the one before by more where the picture asks for it. A picture no
    larger than a tile is one tile.

    Args:
        height, width: of the picture in pixels.
        tile: pixels a side.
        overlap: pixels that neighbours share at least, less than half of `tile`.
        make: gives the tile of some rows and columns: float32, height x width x 3, 0 to 255.

    Returns:
        uint8, height x width x 3. Beside it, the work needs memory for one row of tiles, in float32.
    """
    rows, columns = _places(height, tile, overlap), _places(width, tile, overlap)
    down, across = _weights(rows, height), _weights(columns, width)
    picture = np.empty((height, width, 3), np.uint8)
    band = np.zeros((min(tile, height), width, 3), np.float32)  # what is known of the rows from `top` on
    for index, place in enumerate(rows):
        for column, weights in zip(columns, across, strict=True):
            weight = down[index][place, None] * weights[None, column]
            band[:, column] += make(place, column) * weight[..., None]
        done = (rows[index + 1].start if index + 1 < len(rows) else height) - place.start
        picture[place.start : place.start + done] = np.clip(np.rint(band[:done]), 0, 255)
        band[: len(band) - done] = band[done:].copy()
        band[len(band) - done :] = 0
    return picture


def _places(length: int, tile: int, overlap: int) -> list[slice]:
    """Where tiles lie along a side."""
    if length <= tile:
        return [slice(0, length)]
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    return [slice(start, start + tile) for start in starts]


def _weights(places: list[slice], length: int) -> np.ndarray:
    """The weight of each tile at each pixel of a side: float32, tiles x length; at each pixel they add up to 1."""
    at = np.arange(length, dtype=np.float32)
    weights = np.zeros((len(places), length), np.float32)
    for weight, place in zip(weights, places, strict=True):
        weight[place] = 1
    for index, (left, right) in enumerate(pairwise(places)):
        shared = slice(right.start, left.stop)
        rising = (at[shared] - shared.start + 0.5) / (shared.stop - shared.start)
        weights[index, shared] *= 1 - rising
        weights[index + 1, shared] *= rising
    return weights / weights.sum(axis=0)

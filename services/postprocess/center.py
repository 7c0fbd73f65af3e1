"""The object's placement on the canvas, and the one resampling that applies it."""

import math

import numpy as np
from PIL import Image

from tensorhop.values.finish_options import CANVAS, FILL, MAX_SCALE
from tensorhop.values.geometry import Box, Region, Size
from tensorhop.values.results import VISIBLE, Layer, Placement

SMALLER = 7 / 8  # the object shrinks to no less than this fraction of `fill` to make room for its shadow


def visible_box(alpha: np.ndarray, above: float = VISIBLE) -> Region:
    """The smallest region that holds every pixel of alpha above a value; empty if there is no such pixel.

    Args:
        alpha: height x width, uint8 or float32.
        above: in the range of alpha: 0 to 1 for float32, 0 to 255 for uint8.
    """
    return visible_boxes(alpha, above)[0]


def visible_boxes(alpha: np.ndarray, *above: float) -> list[Region]:
    """What `visible_box` returns for each of some values, in one pass. Not for alpha of no pixels."""
    widest, highest = alpha.max(axis=0), alpha.max(axis=1)
    boxes = []
    for value in above:
        columns, rows = np.flatnonzero(widest > value), np.flatnonzero(highest > value)
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if columns.size else (0, 0, 0, 0)
        boxes.append(Region(*map(int, box)))
    return boxes


def in_place(photo: Size) -> Placement:
    """The placement that makes the photo itself the canvas."""
    return Placement(photo, 1.0, 0.0, 0.0)


def centered(
    box: Region | Box,
    reach: Box | None = None,
    canvas: Size = CANVAS,
    fill: float = FILL,
    max_scale: float = MAX_SCALE,
) -> Placement:
    """The placement that puts the middle of the object's box into the middle of a canvas.

    Args:
        box: the object's, in pixels of the photo; not empty.
        reach: the shadow's box in pixels of the photo, which must fit on the canvas too. If need be, the object becomes
            smaller than `fill` says, but no smaller than a pixel.
        canvas: size in pixels.
        fill: above 0, at most 1: the fraction of the canvas's width or height, whichever is reached first, that the box
            fills.
        max_scale: the largest factor by which a small object may be enlarged.
    """
    width, height = box.x1 - box.x0, box.y1 - box.y0
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    scale = min(fill * canvas.width / width, fill * canvas.height / height, max_scale)
    if reach is not None:
        across = max(x - reach.x0, reach.x1 - x, width / 2)
        down = max(y - reach.y0, reach.y1 - y, height / 2)
        scale = min(scale, half(canvas.width) / across, half(canvas.height) / down)
    scale = max(scale, 1 / max(width, height))
    return Placement(canvas, scale, canvas.width / 2 - scale * x, canvas.height / 2 - scale * y)


def half(side: int) -> float:
    """The distance from a canvas's middle to one pixel before its edge; on a tiny canvas, half the way to its edge."""
    return max(side / 2 - 1, side / 4)


def room(box: Region | Box, canvas: Size = CANVAS, fill: float = FILL, max_scale: float = MAX_SCALE) -> Box:
    """The canvas in pixels of the photo, if the object is centered and as small as it may become for its shadow.

    Parameters as for `centered`.
    """
    placement = centered(box, None, canvas, SMALLER * fill, max_scale)
    across, down = half(canvas.width) / placement.scale, half(canvas.height) / placement.scale
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return Box(x - across, y - down, x + across, y + down)


def resampled(rgba: np.ndarray, region: Region, placement: Placement) -> Layer:
    """A piece of the photo as a layer of the canvas, resampled at most once.

    The filter is bicubic, on premultiplied alpha. It widens when shrinking, so that no pixel is skipped. At scale 1,
    pixels stay unchanged and move by whole pixels. What leaves the canvas is cut off.

    Args:
        rgba: straight-alpha, uint8, height x width x 4 of the region.
        region: the pixels of the photo that `rgba` covers.

    Returns:
        A layer of the canvas, straight-alpha RGBA, uint8.
    """
    scale, canvas = placement.scale, Region.of(placement.canvas)
    if scale == 1:
        moved = region.moved(round(placement.x), round(placement.y))
        target = moved.intersect(canvas)
        return Layer(rgba[target.moved(-moved.x0, -moved.y0).slices], target)
    x, y = placement.x + scale * region.x0, placement.y + scale * region.y0
    covered = Box(x, y, x + scale * region.size.width, y + scale * region.size.height).region()
    target = Region(covered.x0 - 1, covered.y0 - 1, covered.x1 + 1, covered.y1 + 1).intersect(canvas)
    border = math.ceil(2 + 2 / scale)
    source = (
        border + (target.x0 - x) / scale,
        border + (target.y0 - y) / scale,
        border + (target.x1 - x) / scale,
        border + (target.y1 - y) / scale,
    )

    def filtered(channel: np.ndarray) -> np.ndarray:
        """A channel, height x width, float32, at the target's size."""
        picture = Image.fromarray(np.pad(channel, border))
        return np.asarray(picture.resize(target.size, Image.Resampling.BICUBIC, box=source))

    # In float32: where the filter overshoots at an edge, alpha and colours overshoot by the same factor, which cancels
    # out.
    alpha = rgba[..., 3].astype(np.float32)
    opacity = filtered(alpha)
    pixels = np.zeros((target.size.height, target.size.width, 4), np.uint8)
    visible = opacity >= 0.5
    pixels[..., 3] = np.rint(np.clip(opacity, 0, 255))
    for channel in range(3):
        color = filtered(rgba[..., channel] * alpha) / np.where(visible, opacity, 1)
        pixels[..., channel] = np.where(visible, np.rint(np.clip(color, 0, 255)), 0)
    return Layer(pixels, target)


def trimmed(alpha: np.ndarray) -> Region:
    """The box of what is not transparent in alpha (height x width, uint8); of alpha that is 0 everywhere, one pixel."""
    box = visible_box(alpha, 0)
    return Region(0, 0, 1, 1) if box.empty else box


def trimmed_layer(layer: Layer) -> Layer:
    """The layer without its transparent rim."""
    box = trimmed(layer.pixels[..., 3])
    return Layer(np.ascontiguousarray(layer.pixels[box.slices]), box.moved(layer.region.x0, layer.region.y0))

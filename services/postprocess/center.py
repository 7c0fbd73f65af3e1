"""Where the object goes on the canvas, and the one resampling that brings it there."""

import math

import numpy as np
from PIL import Image

from tensorhop.values.finish_options import CANVAS, FILL, MAX_SCALE
from tensorhop.values.geometry import Box, Region, Size
from tensorhop.values.results import VISIBLE, Layer, Placement

SMALLER = 7 / 8  # of what it would fill: down to which the object becomes smaller for the sake of its shadow
FAR = 16  # how many pixels, or means of blocks of them, go at least into one when shrinking far


def visible_box(alpha: np.ndarray, above: float = VISIBLE) -> Region:
    """The smallest region that holds every pixel of alpha, height x width, above a value; empty if there is none."""
    visible = alpha > above
    columns, rows = np.flatnonzero(visible.any(axis=0)), np.flatnonzero(visible.any(axis=1))
    if not columns.size:
        return Region(0, 0, 0, 0)
    return Region(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def in_place(photo: Size) -> Placement:
    """The canvas is the photo."""
    return Placement(photo, 1.0, 0.0, 0.0)


def centered(
    box: Region,
    reach: Box | None = None,
    canvas: Size = CANVAS,
    fill: float = FILL,
    max_scale: float = MAX_SCALE,
) -> Placement:
    """The middle of the object's box in the middle of a canvas.

    Args:
        box: the object's, in pixels of the photo, not empty.
        reach: what else must be on the canvas, in pixels of the photo: its shadow. If need be, the object becomes
            smaller than `fill` says, but no smaller than a pixel.
        canvas: size in pixels.
        fill: above 0, at most 1: part of the canvas's width or height, whichever is reached first, that the box takes.
        max_scale: how far a small object may be enlarged.
    """
    width, height = box.size
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    scale = min(fill * canvas.width / width, fill * canvas.height / height, max_scale)
    if reach is not None:
        across = max(x - reach.x0, reach.x1 - x, width / 2)
        down = max(y - reach.y0, reach.y1 - y, height / 2)
        scale = min(scale, half(canvas.width) / across, half(canvas.height) / down)
    scale = max(scale, 1 / max(width, height))
    return Placement(canvas, scale, canvas.width / 2 - scale * x, canvas.height / 2 - scale * y)


def half(side: int) -> float:
    """From a canvas's middle to one pixel before its edge; if it has not so many pixels, half the way to its edge."""
    return max(side / 2 - 1, side / 4)


def room(box: Region, canvas: Size = CANVAS, fill: float = FILL, max_scale: float = MAX_SCALE) -> Box:
    """The canvas in pixels of the photo, with the object in its middle as small as it may get for its shadow."""
    placement = centered(box, None, canvas, SMALLER * fill, max_scale)
    across, down = half(canvas.width) / placement.scale, half(canvas.height) / placement.scale
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return Box(x - across, y - down, x + across, y + down)


def resampled(rgba: np.ndarray, region: Region, placement: Placement) -> Layer:
    """A piece of the photo on the canvas, resampled at most once.

    The filter is bicubic, on premultiplied alpha; when shrinking it widens by as much, so that no pixel is skipped. It
    would take much memory to shrink by more than 2 x FAR: then the filter is given the means of blocks of pixels. At
    scale 1 the pixels stay as they are and move by whole pixels. What leaves the canvas is cut off.

    Args:
        rgba: straight-alpha, uint8, height x width x 4 of the region.
        region: the pixels of the photo that it covers.
    """
    scale, canvas = placement.scale, Region.of(placement.canvas)
    if scale == 1:
        moved = region.moved(round(placement.x), round(placement.y))
        target = moved.intersect(canvas)
        return Layer(rgba[target.moved(-moved.x0, -moved.y0).slices], target)
    x, y = placement.x + scale * region.x0, placement.y + scale * region.y0
    covered = Box(x, y, x + scale * region.size.width, y + scale * region.size.height).region()
    target = Region(covered.x0 - 1, covered.y0 - 1, covered.x1 + 1, covered.y1 + 1).intersect(canvas)
    block = max(1, int(1 / (FAR * scale)))
    step = scale * block  # of a block, on the canvas
    border = math.ceil(2 + 2 / step)
    source = (
        border + (target.x0 - x) / step,
        border + (target.y0 - y) / step,
        border + (target.x1 - x) / step,
        border + (target.y1 - y) / step,
    )

    def resampled(channel: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.pad(block_means(channel, block), border))
        return np.asarray(picture.resize(target.size, Image.Resampling.BICUBIC, box=source))

    # In float32, so that where the filter overshoots at an edge, it does so in alpha and in the colours by the same
    # factor, which cancels out.
    alpha = rgba[..., 3].astype(np.float32)
    opacity = resampled(alpha)
    pixels = np.zeros((target.size.height, target.size.width, 4), np.uint8)
    visible = opacity >= 0.5
    pixels[..., 3] = np.rint(np.clip(opacity, 0, 255))
    for channel in range(3):
        color = resampled(rgba[..., channel] * alpha) / np.where(visible, opacity, 1)
        pixels[..., channel] = np.where(visible, np.rint(np.clip(color, 0, 255)), 0)
    return Layer(pixels, target)


def block_means(channel: np.ndarray, side: int) -> np.ndarray:
    """The means of side x side values; beyond the edge are zeros."""
    if side == 1:
        return channel
    height, width = channel.shape
    rows, columns = -(-height // side), -(-width // side)
    padded = np.pad(channel, ((0, rows * side - height), (0, columns * side - width)))
    return padded.reshape(rows, side, columns, side).mean(axis=(1, 3), dtype=np.float32)


def trimmed_layer(layer: Layer) -> Layer:
    """Without its transparent rim; of a layer that is transparent everywhere, one pixel is left."""
    box = visible_box(layer.pixels[..., 3], 0)
    if box.empty:
        box = Region(0, 0, 1, 1)
    return Layer(np.ascontiguousarray(layer.pixels[box.slices]), box.moved(layer.region.x0, layer.region.y0))

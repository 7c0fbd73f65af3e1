"""Compositing: the one rule by which layers, such as a cut-out and its shadow, become a picture."""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Layer

FAINTEST, OPAQUE = 0x01000000, 0xFF000000  # the least numbers of RGBA, little-endian, whose alpha is 1, and 255
STRIP_PIXELS = 64 * 1024  # composited at a time


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
    laid: list[Region] = []
    for layer in layers:
        overlap = layer.region.intersect(region)
        if overlap.empty:
            continue
        below = canvas[overlap.moved(-region.x0, -region.y0).slices]
        above = layer.pixels[overlap.moved(-layer.region.x0, -layer.region.y0).slices]
        lay = lay_over if any(not overlap.intersect(one).empty for one in laid) else lay_on_nothing
        lay(above, below)
        laid.append(overlap)
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


def fit_picture(pixels: np.ndarray, canvas: Size, fit: str) -> Layer:
    """A picture as the lowest layer of a canvas, in its own proportions, resampled once (Lanczos).

    Args:
        pixels: uint8, height x width x 3, sRGB.
        fit: "cover": the picture's middle, as much as the canvas shows; "contain": all of it, in the canvas's middle.

    Returns:
        Opaque RGBA, uint8: the whole canvas for "cover".
    """
    own = size_of(pixels)
    scales = canvas.width / own.width, canvas.height / own.height
    scale = max(scales) if fit == "cover" else min(scales)
    width, height = (max(1, min(most, round(scale * side))) for side, most in zip(own, canvas, strict=True))
    seen = Box(0, 0, *own) if fit == "contain" else middle(own, canvas.width / scale, canvas.height / scale)
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, box=seen)
    x, y = (canvas.width - width) // 2, (canvas.height - height) // 2
    return Layer(np.asarray(resized.convert("RGBA")), Region(x, y, x + width, y + height))


def middle(size: Size, width: float, height: float) -> Box:
    """The middle of a picture, no larger than the picture."""
    width, height = min(width, size.width), min(height, size.height)
    x, y = (size.width - width) / 2, (size.height - height) / 2
    return Box(x, y, x + width, y + height)


def lay_over(above: np.ndarray, below: np.ndarray) -> None:
    """Composite pixels over others, which are changed in place. Both are straight-alpha RGBA, uint8, of one shape."""
    for over, under in strips(above, below):
        seen = over >= FAINTEST
        covers = seen & ((over >= OPAQUE) | (under < FAINTEST))
        np.copyto(under, over, where=covers)
        at = np.flatnonzero(seen ^ covers)
        if at.size:
            place = np.divmod(at, over.shape[1])
            under[place] = mixed(over[place], under[place])


def lay_on_nothing(above: np.ndarray, below: np.ndarray) -> None:
    """What `lay_over` does where the pixels below are all 0: a copy, without the colours of transparent pixels."""
    for over, under in strips(above, below):
        np.copyto(under, over)
        if (over - 1).min() < FAINTEST - 1:  # 0 - 1 is the largest number
            under[over < FAINTEST] = 0


def strips(above: np.ndarray, below: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both pictures, some rows at a time, so that what is computed of them stays in a core's cache.

    Args:
        above, below: RGBA, uint8, height x width x 4.

    Yields:
        Views of the two (of `above` a copy if its channels do not lie side by side): uint32, rows x width. The highest
        byte of a number is the pixel's alpha.
    """
    if above.strides[2] != 1:
        above = np.ascontiguousarray(above)
    over, under = above.view("<u4")[..., 0], below.view("<u4")[..., 0]
    rows = max(1, STRIP_PIXELS // above.shape[1])
    for first in range(0, len(over), rows):
        yield over[first : first + rows], under[first : first + rows]


def mixed(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Source-over of pixels none of which is wholly transparent. uint32, as `strips` has them, of shape pixels."""
    top, bottom = (pixels[:, None].view(np.uint8).astype(np.float32) for pixels in (over, under))
    kept = bottom[:, 3] * (255 - top[:, 3]) / 255
    alpha = top[:, 3] + kept
    color = (top[:, :3] * top[:, 3:] + bottom[:, :3] * kept[:, None]) / alpha[:, None]
    return np.rint(np.column_stack([color, alpha])).astype(np.uint8).view("<u4")[:, 0]

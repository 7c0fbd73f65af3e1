"""The shadow of an object on level ground.

The cast shadow comes from a lamp of some size. A point at height h throws its shadow at a distance of length x h from
the ground below it, in the direction `rot`. The longer the light's path, the softer the shadow. The contact shadow is
the ground that the object's lowest parts hide from the light of the whole sky.

A shadow is black with an alpha. It is composited over a background by source-over on sRGB values, as viewers do. Light
is a product of linear values: linear x t, where t is the light that is left. If sRGB's curve is taken for a power of
1 / 2.2, that is sRGB x t ^ (1 / 2.2). So with an alpha of 1 - t ^ (1 / 2.2), source-over on sRGB values gives the same
as compositing in linear light, over any background.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from tensorhop.services.postprocess.center import trimmed
from tensorhop.services.postprocess.ground import FORESHORTENING
from tensorhop.services.postprocess.solid import Solid
from tensorhop.values.finish_options import LENGTH, OPACITY, SOFTNESS
from tensorhop.values.geometry import Box, Region
from tensorhop.values.results import Layer, Placement

FADE = 0.4  # fraction by which the cast shadow is lighter at its far end
SHARPEST = 0.006  # standard deviation of the least blur, as a fraction of the object's longer side
# Parts of the contact shadow: the height up to which the object casts it, the blur (both as fractions of the object's
# longer side), and the fraction of the opacity.
CONTACTS = ((0.015, 0.004, 0.8), (0.02, 0.012, 1.0), (0.10, 0.035, 0.7))
CONTACT_GAIN = 1.4  # without it, the blur would make the shadow of narrow feet too faint
SPREAD = 2.3  # standard deviations at which a blur is cut off: what is left is below half a level of alpha
GAMMA = 2.2


def reach(solid: Solid, kind: str, rot: float, length: float = LENGTH, softness: float = SOFTNESS) -> Box:
    """The box that the shadow covers, in pixels of the photo. Parameters as for `draw`."""
    box = grid(solid, kind, rot, length, softness)
    x, y = solid.origin
    return Box(x + solid.cell * box.x0, y + solid.cell * box.y0, x + solid.cell * box.x1, y + solid.cell * box.y1)


def fitting_length(
    solid: Solid, kind: str, rot: float, room: Box, length: float = LENGTH, softness: float = SOFTNESS
) -> float:
    """The largest length, up to the given one, with which the shadow stays inside a box in pixels of the photo.

    It is a length that fits, found by bisection; 0 if no length fits.
    """

    def fits(tried: float) -> bool:
        box = reach(solid, kind, rot, tried, softness)
        return box.x0 >= room.x0 and box.y0 >= room.y0 and box.x1 <= room.x1 and box.y1 <= room.y1

    if fits(length):
        return length
    low, high = 0.0, length
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def draw(
    solid: Solid,
    placement: Placement,
    kind: str,
    rot: float,
    length: float = LENGTH,
    softness: float = SOFTNESS,
    opacity: float = OPACITY,
) -> Layer | None:
    """The shadow as a layer of the canvas.

    Args:
        solid: the object's.
        placement: where the photo is on the canvas. What leaves the canvas is cut off.
        kind: one of tensorhop.values.finish_options.SHADOWS: none, contact (the dark where the object stands), or cast
            (the contact shadow and the shadow that the object casts).
        rot: compass bearing to which the shadow falls, degrees clockwise: 0 away from the viewer, 90 to the right.
        length: length of the cast shadow on the ground, in heights of the object, 0 or more. The contact shadow ignores
            it.
        softness: size of the lamp: standard deviation of the cast shadow's blur, as a fraction of the light's path to
            the ground, 0 or more.
        opacity: fraction of the light that the shadow's core blocks, 0 to 1.

    Returns:
        Black pixels, straight-alpha RGBA, uint8; None if no shadow is on the canvas.
    """
    if kind == "none" or opacity == 0:
        return None
    region = grid(solid, kind, rot, length, softness)
    light = contact_light(solid, region, opacity)
    if kind == "cast":
        light *= cast_light(solid, region, rot, length, softness, opacity)
    return on_canvas(1 - light ** (1 / GAMMA), region, solid, placement)


def direction(rot: float, length: float) -> tuple[float, float]:
    """How far to the right and up in the picture the shadow of a point one cell high falls, in cells."""
    angle = math.radians(rot % 360)
    return length * math.sin(angle), length * FORESHORTENING * math.cos(angle)


def deviation(height: np.ndarray, solid: Solid, length: float, softness: float) -> np.ndarray:
    """The standard deviation of the shadow's blur for each height, in cells.

    Args:
        height: float32, of any shape: heights above the ground, in cells.
        length, softness: as for `draw`.

    Returns:
        float32, the shape of `height`.
    """
    return SHARPEST * solid.extent + softness * math.hypot(1, length) * height


def grid(solid: Solid, kind: str, rot: float, length: float, softness: float) -> Region:
    """The cells that the shadow covers. Parameters as for `draw`."""
    rim = SPREAD * max(blur for _, blur, _ in CONTACTS) * solid.extent
    boxes = [(solid.x - rim, solid.ground - solid.back - rim, solid.x + rim, solid.ground + solid.front + rim)]
    if kind == "cast":
        right, up = direction(rot, length)
        blur = SPREAD * deviation(solid.height, solid, length, softness)
        x, y = solid.x + right * solid.height, solid.ground - up * solid.height
        boxes.append((x - blur, y - solid.back - blur, x + blur, y + solid.front + blur))
    return Region(
        math.floor(min(float(box[0].min()) for box in boxes)) - 1,
        math.floor(min(float(box[1].min()) for box in boxes)) - 1,
        math.ceil(max(float(box[2].max()) for box in boxes)) + 1,
        math.ceil(max(float(box[3].max()) for box in boxes)) + 1,
    )


def contact_light(solid: Solid, region: Region, opacity: float) -> np.ndarray:
    """The fraction of the sky's light that reaches the ground.

    Returns:
        float32, height x width of the region in cells, 0 to 1.
    """
    light = np.ones((region.size.height, region.size.width), np.float32)
    for height, blur, part in CONTACTS:
        footprint = solid.footprint(height * solid.extent)
        hidden = np.clip(splat(footprint, region, 0, 0, [footprint.weight])[0], 0, 1)
        light *= 1 - part * opacity * np.minimum(CONTACT_GAIN * blurred(hidden, max(0.5, blur * solid.extent)), 1)
    return light


def cast_light(solid: Solid, region: Region, rot: float, length: float, softness: float, opacity: float) -> np.ndarray:
    """The fraction of the lamp's light that reaches the ground. Parameters as for `draw`.

    Returns:
        float32, height x width of the region in cells, 0 to 1.
    """
    right, up = direction(rot, length)
    # Where the shadows of low and high parts overlap, the low parts decide the sharpness.
    near = solid.weight / (solid.height + 0.02 * solid.extent)
    shade, share, height = splat(solid, region, right, up, [solid.weight, near, near * solid.height])
    shade = np.clip(shade, 0, 1)
    height = shade * height / np.maximum(share, 1e-6)
    # Continue the height beyond the hard shadow, where the blur will spread.
    total, known = np.zeros_like(shade), np.full_like(shade, 1e-9)
    for blur, trust in ((0.015, 1.0), (0.08, 1e-3)):
        total += trust * blurred(height, blur * solid.extent + 1)
        known += trust * blurred(shade, blur * solid.extent + 1)
    height = np.maximum(total / known, 0)
    soft = softened(shade, np.maximum(deviation(height, solid, length, softness), 0.5))
    highest = max(1.0, float(solid.height.max()))
    return 1 - opacity * soft * (1 - FADE * np.minimum(height / highest, 1))


def splat(solid: Solid, region: Region, right: float, up: float, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """How much of the solid lies between each cell of the ground and the light.

    Every cell of the solid, moved by its height x (right, up), covers the rows of its disc's depth.

    Args:
        region: the cells of the ground.
        right, up: the light's direction, as `direction` gives it.
        weights: arrays of float32, one value for each cell of the solid.

    Returns:
        For each of `weights` the sum on the ground: float32, height x width of the region.
    """
    height, width = region.size.height, region.size.width
    x0, y0 = solid.x - np.float32(0.5 + region.x0), solid.ground - np.float32(region.y0)
    tall, back, front = solid.height, solid.back, solid.front
    sums: list[np.ndarray] = [np.zeros((height + 2) * width) for _ in weights]
    steps = max(1, math.ceil(math.hypot(right, up)))
    for step in range(steps):
        at = np.maximum(tall + np.float32((step + 0.5) / steps - 0.5), 0)
        x, y = x0 + np.float32(right) * at, y0 - np.float32(up) * at
        column = x.astype(np.int64)
        part = x - column
        for edge, sign in ((y - back, 1), (y + front, -1)):
            row = edge.astype(np.int64)
            index, below = row * width + column, sign * (edge - row)
            for weight, total in zip(weights, sums, strict=True):
                for first, amount in ((index, weight * (1 - part)), (index + 1, weight * part)):
                    lower = amount * below
                    total += np.bincount(first, sign * amount - lower, total.size)
                    total += np.bincount(first + width, lower, total.size)
    return [total.reshape(height + 2, width)[:height].cumsum(axis=0).astype(np.float32) for total in sums]


def blurred(picture: np.ndarray, deviation: float) -> np.ndarray:
    """A picture after a Gaussian blur. A wide blur runs on a smaller picture, which is faster.

    Args:
        picture: height x width, float32; 0 beyond its edge.
        deviation: standard deviation in pixels, above 0.

    Returns:
        float32, height x width.
    """
    factor = 2 ** max(0, math.floor(math.log2(deviation / 2)))
    if factor == 1:
        return cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_CONSTANT)
    height, width = picture.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padded = cv2.copyMakeBorder(
        picture, 0, rows * factor - height, 0, columns * factor - width, cv2.BORDER_CONSTANT, value=0
    )
    small = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), deviation / factor, borderType=cv2.BORDER_CONSTANT)
    return cv2.resize(small, (columns * factor, rows * factor), interpolation=cv2.INTER_LINEAR)[:height, :width]


def softened(picture: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """A picture blurred at every pixel with that pixel's standard deviation, by blending blurs that double in width.

    Args:
        picture: height x width, float32.
        deviation: height x width, float32: standard deviations in pixels, above 0.

    Returns:
        float32, height x width.
    """
    least = float(deviation.min())
    level = np.log2(deviation / least)
    result = np.zeros_like(picture)
    for number in range(math.ceil(float(level.max())) + 1):
        part = np.maximum(1 - np.abs(level - number), 0)
        result += part * blurred(picture, least * 2**number)
    return result


def on_canvas(alpha: np.ndarray, region: Region, solid: Solid, placement: Placement) -> Layer | None:
    """A shadow in cells as black pixels of the canvas, without its transparent rim; None if it is outside of it.

    Args:
        alpha: height x width of the region, float32, 0 to 1.
        region: the cells that alpha covers.
    """
    scale = placement.scale * solid.cell
    x = placement.x + placement.scale * solid.origin[0] + scale * region.x0
    y = placement.y + placement.scale * solid.origin[1] + scale * region.y0
    covered = Box(x, y, x + scale * region.size.width, y + scale * region.size.height).region()
    covered = covered.intersect(Region.of(placement.canvas))
    if covered.empty:
        return None
    matrix = np.array(
        [
            [1 / scale, 0, (covered.x0 + 0.5 - x) / scale - 0.5],
            [0, 1 / scale, (covered.y0 + 0.5 - y) / scale - 0.5],
        ]
    )
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    opacity = cv2.warpAffine(alpha, matrix, covered.size, flags=flags | cv2.WARP_INVERSE_MAP)
    opacity = cv2.convertScaleAbs(np.maximum(opacity, 0, out=opacity), alpha=255)
    own = trimmed(opacity)
    pixels = np.zeros((own.size.height, own.size.width, 4), np.uint8)
    pixels[..., 3] = opacity[own.slices]
    return Layer(pixels, own.moved(covered.x0, covered.y0))

"""The shadow of an object that lies on a light backdrop parallel to the picture.

One lamp, a disc in the sky, and a uniform sky light the backdrop. Each point of it sees as much of both as the object's
heights leave, and the object's sides, lit themselves, throw their colour onto it. What the light is multiplied by
there, per channel and in linear light, is the layer. It exceeds 1 where the object reflects more light onto the
backdrop than it takes.

The heights are guessed from the silhouette. The horizon of a point in a direction is the largest height over distance
that a ray meets there. The height field is turned once for each direction, so that all rays run along its rows: then a
step of all rays is a shift of the array, one multiplication and one minimum.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tensorhop.services.postprocess.center import visible_box
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, Size
from tensorhop.values.results import SOLID, Layer

GAMMA = 2.2  # of sRGB's curve, taken for a power, as in shadow.py
CELLS = 192  # on the longer side of what is computed
REACH = 7.0  # thicknesses beyond the object up to which the backdrop is computed
LAMP_AZIMUTHS, SKY_AZIMUTHS, BOUNCE_AZIMUTHS = 9, 14, 12
SMALLEST_LAMP = 0.02  # radius in radians; below it the shadow is as sharp as the cells allow
# The object's light on the backdrop: of the sky, of the lamp on any side, and of the lamp on sides that face it. Fitted
# to renders of three shapes (tools/shadow_scenes.py).
SLAB_BOUNCE, ROUND_BOUNCE = (0.80, 0.095, 1.62), (0.91, 0.31, 1.27)
RIM = 2  # a cell of a slab is as high as the slab if half of it is covered
NOTHING = np.float32(1e6)  # distance over height where there is no height
UNCOVERED = 0.01  # of a cell: from this on, what is computed there is not the backdrop's
SMOOTH = 0.2  # standard deviation by which what comes from all around is smoothed, in distances from the object
RIM_SEEN = 0.5  # thicknesses around the object that the layout leaves room for, beside the shadow's length
OBJECT_CELLS, MOST_CELLS = 140, 192  # on the object's longer side; in all, on the longer side of what is computed
BAND = 1 << 20  # pixels that are made at once


@dataclass(frozen=True)
class Light:
    """How the backdrop is lit, and how thick the object is. Angles are in radians, lengths in thicknesses."""

    bearing: float  # to which the shadow falls: clockwise, 0 up in the picture
    elevation: float  # of the lamp above the backdrop, up to a right angle
    radius: float  # of the lamp's disc
    share: float  # the lamp's part of the light, 0 to 1
    thickness: float  # of the object's longer side
    round: bool  # whether the object is thickest in its middle, or a slab
    bounce: float  # factor of the light that the object throws on the backdrop

    @property
    def lowest(self) -> float:
        """The tangent of the lamp's lower edge, at least of a few degrees."""
        return math.tan(max(self.elevation - self.radius, 0.12))


@dataclass(frozen=True)
class Field:
    """The object on a grid of square cells."""

    height: np.ndarray  # float32, rows x columns: in cells
    cover: np.ndarray  # float32, rows x columns, 0 to 1: how much of a cell the object covers
    colour: np.ndarray  # float32, half of rows x half of columns x 3: what the object reflects, and around it
    box: Region  # the cells that the object covers a part of
    slab: float = 0.0  # the height of a slab, in cells; 0 for a round object

    def halved(self) -> "Field":
        """The field with half as many cells on a side."""
        rows, columns = (-(-side // 2) for side in self.height.shape)
        size = columns, rows
        padded = [
            cv2.copyMakeBorder(
                part, 0, 2 * rows - len(part), 0, 2 * columns - part.shape[1], cv2.BORDER_CONSTANT, value=0
            )
            for part in (self.height, self.cover)
        ]
        height, cover = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in padded)
        return Field(height / 2, cover, self.colour, visible_box(cover, 0), self.slab / 2)


class Turned:
    """A field turned so that a direction of the picture runs along its rows; only the part that matters there."""

    def __init__(self, field: Field, direction: tuple[float, float], before: float, reach: float) -> None:
        """
        Args:
            direction: unit vector, to the right and down.
            before: how many cells before the object the rays may start.
            reach: how many cells a ray may be long.
        """
        rows, columns = field.height.shape
        x, y = direction
        box = field.box
        corners = np.array([(a, b) for a in (box.x0, box.x1 - 1) for b in (box.y0, box.y1 - 1)], np.float64)
        middle = np.array([(columns - 1) / 2, (rows - 1) / 2])
        along, across = (corners - middle) @ (x, y), (corners - middle) @ (-y, x)
        canvas = abs(x) * columns / 2 + abs(y) * rows / 2
        # Symmetric around the middle, so that quarter turns give the same.
        self.first = max(math.floor(along.min() - before) - 1, -math.ceil(canvas))
        self.left = math.floor(across.min()) - 2
        self.rows = math.ceil(along.max()) + 2 - self.first
        self.columns = math.ceil(across.max()) + 3 - self.left
        self.reach = min(int(reach), self.rows - 1)
        self.back = np.array(
            [
                [-y, x, -self.left - (-y * middle[0] + x * middle[1])],
                [x, y, -self.first - (x * middle[0] + y * middle[1])],
            ]
        )
        # The inverse: a cell (column, row) here is middle + (first + row) direction + (left + column) sideways.
        self.there = np.array(
            [
                [-y, x, middle[0] + self.first * x - self.left * y],
                [x, y, middle[1] + self.first * y + self.left * x],
            ]
        )
        self.grid = (columns, rows)
        self.cover = self.taken(field.cover)
        if field.slab:  # a cell that its edge runs through is nearly as high as the others
            self.height = np.float32(field.slab) * np.minimum(RIM * self.cover, 1)
        else:
            self.height = self.taken(field.height)

    def taken(self, picture: np.ndarray) -> np.ndarray:
        """A picture of the field, turned."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, self.there, (self.columns, self.rows), flags=flags)

    def given_back(self, picture: np.ndarray, beyond: float) -> np.ndarray:
        """A turned picture as one of the field, with a value for what is beyond."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = (beyond,) * 4
        return cv2.warpAffine(picture, self.back, self.grid, flags=flags, borderValue=border)


def steps(
    turned: Turned, fine: int, spread: float, colour: Sequence[np.ndarray] = ()
) -> Iterator[tuple[int, np.ndarray, np.ndarray, Sequence[np.ndarray]]]:
    """The steps of all rays: what each meets, as distance over height.

    Near a point, every cell is a step. Further on, steps grow by a fraction of the distance: each meets the highest of
    its cells, averaged over the width that the ray stands for there.

    Args:
        fine: up to how many cells away every cell is a step.
        spread: the angle between one direction and the next, in radians.
        colour: of the field, turned: a plane a channel.

    Yields:
        The first of the step's rows, `inverse` and `offset`, so that distance over height is row x inverse + offset;
        and the colour that is met.
    """
    height, cover = turned.height, turned.cover
    # Where the edge runs through a cell, it is met earlier the more of the cell is covered.
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(cover, kernel) > 0.99
    ahead = np.where(inner, np.float32(0), np.float32(0.5) - cover)
    inverse = 1 / np.maximum(height, 1 / NOTHING)
    offset = ahead * inverse
    start, group = 1, 1
    while start <= turned.reach:
        stop = min(start + fine if group == 1 else start + fine * group // 2, turned.reach + 1)
        for at in range(start, stop, group):
            yield at, inverse, offset, colour
        start, group = at + group, 2 * group
        if start > turned.reach:
            return
        if group == 2:
            squared = height * height
        width = round(spread * start / 2)  # half of what is averaged before counts already
        if width > 1:
            squared = cv2.blur(squared, (width, 1), borderType=cv2.BORDER_CONSTANT)
            colour = [cv2.blur(plane, (width, 1), borderType=cv2.BORDER_REPLICATE) for plane in colour]
        np.maximum(squared[: -group // 2], squared[group // 2 :], out=squared[: -group // 2])
        inverse = 1 / np.sqrt(np.maximum(squared, 1 / NOTHING**2))
        offset = inverse * np.float32(0.4 * (group - 1))


def blocked(turned: Turned, fine: int, spread: float) -> np.ndarray:
    """The squared sine of the horizon's elevation for each cell: float32, 0 to 1."""
    distance = np.full_like(turned.height, NOTHING)
    for at, inverse, offset, _ in steps(turned, fine, spread):
        met = cv2.scaleAdd(inverse[at:], float(at), offset[at:])
        np.minimum(distance[:-at], met, out=distance[:-at])
    sine = 1 / (1 + np.square(np.maximum(distance, 0)))
    # Turning back mixes cells with their neighbours: the object's rim takes what is beside it.
    beside = (turned.cover <= UNCOVERED).astype(np.float32)
    weight = cv2.blur(beside, (3, 3))
    return np.where((beside == 0) & (weight > 0.01), cv2.blur(sine * beside, (3, 3)) / np.maximum(weight, 0.01), sine)


def heading(bearing: float) -> tuple[float, float]:
    """The unit vector of a bearing, to the right and down."""
    return math.sin(bearing), -math.cos(bearing)


def lamp_light(field: Field, light: Light) -> np.ndarray:
    """How much of the lamp each cell of the backdrop sees: float32, 0 to 1."""
    slices = list(lamp_slices(light))
    tallest = float(field.height.max())
    visible = np.zeros_like(field.height)
    spread = abs(slices[1][0] - slices[0][0])
    for azimuth, low, high, weight in slices:
        reach = tallest / math.tan(max(math.asin(math.sqrt(low)), 0.12)) + 2
        turned = Turned(field, heading(light.bearing + math.pi + azimuth), reach, reach)
        seen = np.clip((high - blocked(turned, 12, spread)) / (high - low), 0, 1)
        visible += np.float32(weight) * turned.given_back(seen, 1)
    return visible


def lamp_slices(light: Light) -> Iterator[tuple[float, float, float, float]]:
    """The lamp's disc in slices: azimuth from its middle, squared sines of the lower and upper edge there, weight."""
    level, up = math.cos(light.elevation), math.sin(light.elevation)
    around = math.sin(light.radius) >= level  # the lamp is above the object
    half = math.pi if around else math.asin(math.sin(light.radius) / level)
    found = []
    for number in range(LAMP_AZIMUTHS):
        azimuth = half * (2 * number + 1 - LAMP_AZIMUTHS) / LAMP_AZIMUTHS
        a = level * math.cos(azimuth)
        middle = math.atan2(up, a)
        extent = math.acos(min(1.0, math.cos(light.radius) / math.hypot(a, up)))
        low, high = (min(max(middle + sign * extent, 0.0), math.pi / 2) for sign in (-1, 1))
        low, high = math.sin(low) ** 2, math.sin(high) ** 2
        if high - low > 1e-6:
            found.append((azimuth, low, high))
    total = sum(high - low for _, low, high in found)
    for azimuth, low, high in found:
        yield azimuth, low, high, (high - low) / total


def sky_light(field: Field, light: Light) -> np.ndarray:
    """How much of the sky each cell of the backdrop sees: float32, 0 to 1."""
    reach = REACH * float(field.height.max())
    spread = 2 * math.pi / SKY_AZIMUTHS
    hidden = np.zeros_like(field.height)
    for number in range(SKY_AZIMUTHS):
        turned = Turned(field, heading(light.bearing + spread * (number + 0.5)), reach, reach)
        hidden += turned.given_back(blocked(turned, 4, spread), 0)
    return 1 - hidden / SKY_AZIMUTHS


def bounced_light(field: Field, light: Light) -> np.ndarray:
    """The light that the object throws on each cell of the backdrop: float32, rows x columns x 3."""
    of_sky, of_lamp, of_facing = ROUND_BOUNCE if light.round else SLAB_BOUNCE
    half = field.halved()
    reach = REACH * float(half.height.max())
    spread = 2 * math.pi / BOUNCE_AZIMUTHS
    result = np.zeros((*half.height.shape, 3), np.float32)
    for number in range(BOUNCE_AZIMUTHS):
        azimuth = spread * (number + 0.5)
        turned = Turned(half, heading(light.bearing + azimuth), reach, reach)
        facing = max(0.0, math.cos(azimuth)) / math.tan(light.elevation)
        gain = light.share * (of_lamp + of_facing * facing) + (1 - light.share) * of_sky
        distance = np.full_like(turned.height, NOTHING)
        below = np.zeros_like(distance)
        thrown = np.zeros((3, *distance.shape), np.float32)
        for at, inverse, offset, colour in steps(turned, 4, spread, cv2.split(turned.taken(half.colour))):
            met = np.minimum(distance[:-at], cv2.scaleAdd(inverse[at:], float(at), offset[at:]))
            distance[:-at] = met
            risen = 1 / (1 + np.square(np.maximum(met, 0)))
            rise = risen - below[:-at]
            below[:-at] = risen
            for plane, seen in zip(thrown, colour, strict=True):
                cv2.accumulateProduct(rise, seen[at:], plane[:-at])
        result += np.float32(gain / BOUNCE_AZIMUTHS) * turned.given_back(cv2.merge([*thrown]), 0)
    rows, columns = field.height.shape
    size = 2 * half.height.shape[1], 2 * half.height.shape[0]
    return cv2.resize(result, size, interpolation=cv2.INTER_LINEAR)[:rows, :columns]


def light_of(finish: Finish) -> Light:
    """The light that a caller chose."""
    return Light(
        bearing=math.radians(finish.rot % 360),
        elevation=math.atan2(1, finish.lamp_length),
        radius=max(2 * finish.lamp_softness, SMALLEST_LAMP),  # of a disc, half the radius is the standard deviation
        share=finish.opacity,
        thickness=finish.object_thickness,
        round=finish.profile == "round",
        bounce=finish.bounce,
    )


def backdrop_reach(box: Region | Box, finish: Finish) -> Box:
    """The box that the darker part of the shadow covers, in pixels of the photo. What is beyond may be cut off.

    Args:
        box: the object's, in pixels of the photo.
    """
    thickness = finish.object_thickness * max(box.x1 - box.x0, box.y1 - box.y0)
    x, y = (finish.lamp_length * thickness * part for part in heading(math.radians(finish.rot % 360)))
    rim = RIM_SEEN * thickness
    return Box(min(0, x) + box.x0 - rim, min(0, y) + box.y0 - rim, max(0, x) + box.x1 + rim, max(0, y) + box.y1 + rim)


def draw_backdrop(cutout: Layer, canvas: Size, finish: Finish) -> Layer | None:
    """The shadow of an object on a backdrop, as a layer of the canvas below the object.

    Over the backdrop's colour, the layer gives the backdrop times the light, to a level. Where that is brighter than
    white, it is white. Over other colours, what is dark there is dark, and the glow and the bounced colour are those of
    the backdrop.

    Args:
        cutout: the object alone.
        finish: how the backdrop is lit, and its colour.

    Returns:
        Straight-alpha RGBA, uint8; None if no pixel of the object is solid.
    """
    light = light_of(finish)
    extent = max(cutout.region.size)
    around = math.ceil(REACH * light.thickness * extent)
    region = cutout.region
    area = Region(region.x0 - around, region.y0 - around, region.x1 + around, region.y1 + around)
    area = area.intersect(Region.of(canvas))
    cells = min(MOST_CELLS, round(OBJECT_CELLS * max(area.size) / extent))
    pixels = np.zeros((area.size.height, area.size.width, 4), np.uint8)
    pixels[region.moved(-area.x0, -area.y0).slices] = cutout.pixels
    field = field_of(pixels, light, cells)
    if field is None:
        return None
    rgba = as_rgba(backdrop_light(field, light) ** np.float32(1 / GAMMA), finish.backdrop_colour, area.size)
    return Layer(rgba, area)


def continued(picture: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """A picture of the backdrop, continued below the object from around it.

    Args:
        picture: float32, rows x columns or rows x columns x 3.
        cover: float32, rows x columns: the object's.
    """
    known = (cover < UNCOVERED).astype(np.float32)
    shaped = known if picture.ndim == 2 else cv2.merge([known] * 3)
    result, missing = picture * shaped, 1 - known
    source = result.copy()
    for block, deviation in ((1, 0.8), (2, 1.5), (8, 2.0)):
        size = -(-known.shape[1] // block), -(-known.shape[0] // block)
        means = []
        for part in (source, known):
            small = cv2.resize(part, size, interpolation=cv2.INTER_AREA) if block > 1 else part
            small = cv2.GaussianBlur(small, (0, 0), deviation)
            means.append(cv2.resize(small, known.shape[::-1]) if block > 1 else small)
        mean, weight = means
        here = missing * (weight > 0.02)
        gain = here / np.maximum(weight, 0.02)
        result += mean * (gain if picture.ndim == 2 else cv2.merge([gain] * 3))
        missing -= here
    return result + (missing if picture.ndim == 2 else cv2.merge([missing] * 3))


def spread_out(picture: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """A picture of the backdrop, blurred more the further away the object is: this hides the single directions.

    Args:
        picture: float32, rows x columns x 3, continued below the object.
        cover: float32, rows x columns: the object's.
    """
    beside = (cover < UNCOVERED).astype(np.uint8)
    level = np.log2(np.maximum(cv2.distanceTransform(beside, cv2.DIST_L2, cv2.DIST_MASK_3) * SMOOTH, 0.5)) + 1
    result, last = picture, picture
    for number in range(1, 1 + min(4, math.ceil(float(level.max())))):
        last = cv2.GaussianBlur(last, (0, 0), 2 ** (number - 1) * (0.87 if number > 1 else 1))
        part = cv2.merge([np.clip(level - (number - 1), 0, 1).astype(np.float32)] * 3)
        result = result + part * (last - result)
    return result


def as_rgba(factor: np.ndarray, colour: tuple[int, int, int], size: Size) -> np.ndarray:
    """Pixels that over a colour give that colour times a factor.

    Args:
        factor: float32, rows x columns x 3 of the grid, 0 and more: of sRGB values.
        colour: red, green, blue: sRGB, 0 to 255.
        size: of the result.

    Returns:
        Straight-alpha RGBA, uint8, height x width x 4: the least alpha that gives it.
    """
    level = np.arange(256, dtype=np.float32)
    base = np.array(colour, np.float32)
    # The least alpha for each value of a channel: up from black, down from white.
    down = np.ceil(255 * np.clip((base[:, None] - level) / np.maximum(base[:, None], 1), 0, 1))
    up = np.ceil(255 * np.clip((level - base[:, None]) / np.maximum(255 - base[:, None], 1), 0, 1))
    opacities = np.where(level <= base[:, None], down, up).astype(np.uint8)
    # Not cubic, which overshoots at an edge: a rim brighter than the backdrop.
    smooth = cv2.GaussianBlur(cv2.resize(factor * base, None, fx=2, fy=2), (3, 3), 0)
    wide = np.rint(np.clip(smooth, 0, 255) * 256).astype(np.uint16)
    x, y = wide.shape[1] / size.width, wide.shape[0] / size.height
    pixels = np.empty((size.height, size.width, 4), np.uint8)
    rows = max(1, BAND // size.width)
    for first in range(0, size.height, rows):
        band = pixels[first : first + rows]
        if rows >= size.height:
            wanted = cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR)
        else:
            matrix = np.array([[x, 0, x / 2 - 0.5], [0, y, (first + 0.5) * y - 0.5]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            wanted = cv2.warpAffine(wide, matrix, band.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        channels = cv2.split(cv2.convertScaleAbs(wanted, alpha=1 / 256))
        parts = [cv2.LUT(channel, table) for channel, table in zip(channels, opacities, strict=True)]
        opacity = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
        colours = [mixed(channel, opacity, one) for channel, one in zip(channels, colour, strict=True)]
        cv2.merge([*colours, opacity], dst=band)
    return pixels


def mixed(wanted: np.ndarray, opacity: np.ndarray, ground: int) -> np.ndarray:
    """The channel that with an opacity over a ground gives what is wanted: uint8, height x width, as all arrays."""
    below = cv2.divide(cv2.subtract(np.full(1, ground, np.uint8), wanted), opacity, scale=255)
    above = cv2.divide(cv2.subtract(wanted, np.full(1, ground, np.uint8)), opacity, scale=255)
    return cv2.add(cv2.subtract(np.full(1, ground, np.uint8), below), above)


def backdrop_light(field: Field, light: Light) -> np.ndarray:
    """What the light on the backdrop is multiplied by, per channel, in linear light.

    Returns:
        float32, rows x columns x 3, 0 and more; 1 where the object changes nothing.
    """
    sky, lamp = sky_light(field, light), continued(lamp_light(field, light), field.cover)
    around = np.float32(light.bounce) * bounced_light(field, light)
    around += cv2.merge([np.float32(1 - light.share) * sky] * 3)
    around = spread_out(continued(around, field.cover), field.cover)
    return np.maximum(around + cv2.merge([np.float32(light.share) * lamp] * 3), 0)


def field_of(pixels: np.ndarray, light: Light, cells: int = CELLS) -> Field | None:
    """The object on the grid, or None if no pixel is solid.

    Args:
        pixels: straight-alpha RGBA, uint8: the object on the area that is computed; 0 where it is transparent.
        cells: on the longer side.
    """
    solid = cv2.threshold(cv2.extractChannel(pixels, 3), math.ceil(255 * SOLID) - 1, 255, cv2.THRESH_BINARY)[1]
    if not solid.any():
        return None
    scale = min(1.0, cells / max(solid.shape))
    size = max(1, round(solid.shape[1] * scale)), max(1, round(solid.shape[0] * scale))
    cover = cv2.resize(solid, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    box = visible_box(cover, 0)
    thickness = np.float32(light.thickness * max(box.size))
    if light.round:
        double = cv2.resize(solid, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_AREA)
        inside = cv2.distanceTransform((double >= 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        inside = np.maximum(inside - 0.5, 0)
        part = inside / max(float(inside.max()), 1e-6)
        height = cv2.resize(thickness * np.sqrt(part * (2 - part)), size, interpolation=cv2.INTER_AREA)
    else:
        height = thickness * cover
    return Field(
        height,
        cover,
        reflectance(pixels, (-(-size[0] // 2), -(-size[1] // 2))),
        box,
        0.0 if light.round else float(thickness),
    )


def reflectance(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What the object reflects, in linear light, continued beyond its edge.

    Returns:
        float32, rows x columns x 3.
    """
    seen = cv2.threshold(cv2.extractChannel(pixels, 3), 0, 255, cv2.THRESH_BINARY)[1]
    while min(seen.shape) >= 4 and max(seen.shape) >= 2 * max(size):  # halving is the fast case of averaging
        half = seen.shape[1] // 2, seen.shape[0] // 2
        even = slice(2 * half[1]), slice(2 * half[0])
        pixels = cv2.resize(pixels[even], half, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(seen[even], half, interpolation=cv2.INTER_AREA)
    weight, colour = (
        cv2.GaussianBlur(cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), 0.75)
        for part in (seen, pixels[..., :3])
    )
    return np.minimum(colour / np.maximum(weight, 0.1)[..., None], 1) ** np.float32(GAMMA)

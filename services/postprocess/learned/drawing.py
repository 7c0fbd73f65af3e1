"""A learned shadow: a network draws it, from the object on white, its mask and the direction of the light.

The network sees a square window of the canvas with the object in its middle. Its picture is taken for what lies on
white, and becomes a layer below the object. The object's own pixels are not taken from it.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

from tensorhop.services.postprocess.backdrop import as_rgba, continued
from tensorhop.services.postprocess.center import resampled, visible_box
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Layer, Placement

SIDE = 512  # of the network's input and output, in pixels
CHANNELS = 6  # R, G, B, mask, sine, cosine
LEAST_FILL = 0.4  # of the window, that the object's longer side takes: one that is small on its canvas is seen larger
NEAR_WHITE = 0.99  # what the network leaves this bright counts as white, so that the canvas beside the shadow is clear
FADE = 1 / 16  # of the window, over which the shadow ends at its edges
WHITE = (255, 255, 255)

Draw = Callable[[np.ndarray], np.ndarray]  # the network on one picture, as OnnxShadow.predict takes and gives it


def draw_learned(cutout: Layer, canvas: Size, rot: float, draw: Draw) -> Layer:
    """The shadow that a network draws, as a layer of the canvas below the object.

    Over white, the layer gives what the network drew. Below the object it is continued from around it.

    Args:
        cutout: the object alone; some of it is visible.
        rot: compass bearing to which the shadow falls, degrees clockwise: 0 away from the viewer, 90 to the right.
        draw: the network.

    Returns:
        Straight-alpha RGBA, uint8.
    """
    window = window_of(cutout, canvas)
    scale = SIDE / window.size.width
    small = Placement(Size(SIDE, SIDE), scale, -scale * window.x0, -scale * window.y0)
    seen = compose([resampled(cutout.pixels, cutout.region, small)], Region(0, 0, SIDE, SIDE))
    cover = seen[..., 3].astype(np.float32) / 255
    bearing = math.radians(rot % 360)
    picture = np.empty((CHANNELS, SIDE, SIDE), np.float32)
    picture[:3] = flatten(seen, WHITE)[..., :3].transpose(2, 0, 1).astype(np.float32) / 255
    picture[3], picture[4], picture[5] = cover, math.sin(bearing), math.cos(bearing)
    light = np.minimum(draw(picture) / np.float32(NEAR_WHITE), 1)
    # The object's edge in the network's picture is not the shadow's: it would come twice.
    light = continued(light, cv2.dilate(cover, np.ones((3, 3), np.uint8)))
    area = window.intersect(Region.of(canvas))
    if area != Region.of(canvas):  # the canvas goes on where the network's picture ends
        light = 1 - (1 - light) * fading()
    return Layer(as_rgba(part_of(light, window, area), WHITE, area.size), area)


def window_of(cutout: Layer, canvas: Size) -> Region:
    """The square that the network sees, around the object: as wide as the canvas's longer side if the object is large
    enough on it. It may reach beyond the canvas."""
    box = visible_box(cutout.pixels[..., 3], 0)
    side = max(1, min(max(canvas), math.ceil(max(box.size) / LEAST_FILL)))
    x, y = (cutout.region.x0 + (box.x0 + box.x1) / 2, cutout.region.y0 + (box.y0 + box.y1) / 2)
    left, top = math.floor(x - side / 2), math.floor(y - side / 2)
    return Region(left, top, left + side, top + side)


def fading() -> np.ndarray:
    """What is left of a shadow near the window's edges: float32, 512 x 512 x 1, 0 to 1."""
    inwards = np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / (FADE * SIDE)
    left = np.minimum(inwards, 1).astype(np.float32)
    return np.outer(left, left)[..., None]


def part_of(picture: np.ndarray, window: Region, area: Region) -> np.ndarray:
    """The part of a window's picture that shows an area in it, at the picture's own resolution.

    Args:
        picture: float32, 512 x 512 x 3 of the window.
    """
    if area == window:
        return picture
    scale = SIDE / window.size.width
    width, height = (max(1, round(side * scale)) for side in area.size)
    x, y = area.size.width * scale / width, area.size.height * scale / height
    left, top = (area.x0 - window.x0) * scale, (area.y0 - window.y0) * scale
    matrix = np.array([[x, 0, left + x / 2 - 0.5], [0, y, top + y / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)

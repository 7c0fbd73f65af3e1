"""The overview picture: the photo with a box, a label and a tint for each object."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Detection, Mask

COLOURS = [(230, 25, 75), (0, 130, 200), (245, 130, 48), (60, 180, 75), (145, 30, 180), (0, 150, 150), (240, 50, 230)]
MOST_PIXELS = 2_000_000  # of an overview
TINT = 0.35  # how much of the colour a fully covered pixel takes


def draw_overview(photo: np.ndarray, detections: Sequence[Detection], masks: Mapping[int, Mask]) -> np.ndarray:
    """Draw detections, and the masks that there are by index, on a copy of the photo (uint8, height x width x 3).

    The copy has at most MOST_PIXELS; a larger photo is made smaller first.
    """
    size = size_of(photo)
    scale = min(1.0, math.sqrt(MOST_PIXELS / (size.width * size.height)))
    small = Size(max(1, int(size.width * scale)), max(1, int(size.height * scale)))
    picture = photo.copy() if scale == 1 else cv2.resize(photo, small, interpolation=cv2.INTER_AREA)
    for index, mask in masks.items():
        region, alpha = scaled(mask, scale, small)
        weight = (alpha.astype(np.float32) * (TINT / (255.0 if alpha.dtype == np.uint8 else 1.0)))[..., None]
        part = picture[region.slices]
        part[:] = part + (np.array(colour_of(index), np.float32) - part) * weight
    detections = [replace(one, box=Box(*(scale * edge for edge in one.box))) for one in detections]
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    unit = max(1, round(max(image.size) / 400))
    font = ImageFont.load_default(size=max(11, 6 * unit))
    for detection in reversed(detections):  # the best lies on top
        colour = colour_of(detection.index)
        draw.rectangle(detection.box, outline=colour, width=unit)
        text = f"{detection.index}  {detection.label}  {detection.score:.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 4 * unit, bottom - top + 4 * unit
        x = max(0, min(detection.box.x0, image.width - width))
        y = detection.box.y0 - height if detection.box.y0 >= height else detection.box.y0
        draw.rectangle((x, y, x + width, y + height), fill=colour)
        draw.text((x + 2 * unit - left, y + 2 * unit - top), text, fill="white", font=font)
    return np.asarray(image)


def scaled(mask: Mask, scale: float, size: Size) -> tuple[Region, np.ndarray]:
    """The region and alpha of a mask in a photo that was made smaller, to that size."""
    if scale == 1 or mask.region.empty:
        return mask.region, mask.alpha
    region = Box(*(scale * edge for edge in mask.region)).region().intersect(Region.of(size))
    if region.empty:  # at the edge, where less than a pixel is left of it
        return Region(0, 0, 0, 0), np.zeros((0, 0), np.uint8)
    return region, cv2.resize(mask.alpha, region.size, interpolation=cv2.INTER_AREA)


def colour_of(index: int) -> tuple[int, int, int]:
    return COLOURS[index % len(COLOURS)]

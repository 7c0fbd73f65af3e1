"""The overview picture: the photo with a box, a label and a tint for each object."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tensorhop.values.results import Detection, Mask

COLOURS = [(230, 25, 75), (0, 130, 200), (245, 130, 48), (60, 180, 75), (145, 30, 180), (0, 150, 150), (240, 50, 230)]
TINT = 0.35  # how much of the colour a fully covered pixel takes


def draw_overview(photo: np.ndarray, detections: Sequence[Detection], masks: Mapping[int, Mask]) -> np.ndarray:
    """Draw detections, and the masks that there are by index, on a copy of the photo (uint8, height x width x 3)."""
    picture = photo.copy()
    for index, mask in masks.items():
        scale = 255.0 if mask.alpha.dtype == np.uint8 else 1.0
        weight = (mask.alpha.astype(np.float32) * (TINT / scale))[..., None]
        part = picture[mask.region.slices]
        part[:] = part + (np.array(colour_of(index), np.float32) - part) * weight
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


def colour_of(index: int) -> tuple[int, int, int]:
    return COLOURS[index % len(COLOURS)]

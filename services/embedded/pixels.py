"""Cutting pieces out of a photo and bringing them to the size that a network wants."""

import cv2
import numpy as np

from tensorhop.values.geometry import Box, Region, Size, size_of


def resized(picture: np.ndarray, size: Size) -> np.ndarray:
    """The picture (height x width or height x width x channels) at another size.

    Each axis is averaged where it shrinks and interpolated linearly where it grows, so that neither fine detail
    turns into false patterns nor a picture of 1 x 5000 pixels loses most of its pixels.
    """
    now = size_of(picture)
    smaller = Size(min(now.width, size.width), min(now.height, size.height))
    if smaller != now:
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
    if smaller != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return picture


def crop(photo: np.ndarray, region: Region) -> np.ndarray:
    """The photo's pixels in the region, which may reach over the edge: there the edge's pixels are repeated."""
    inside = region.intersect(Region.of(size_of(photo)))
    piece = photo[inside.slices]
    borders = (inside.y0 - region.y0, region.y1 - inside.y1, inside.x0 - region.x0, region.x1 - inside.x1)
    if not any(borders):
        return piece
    return cv2.copyMakeBorder(piece, *borders, cv2.BORDER_REPLICATE)


def square(box: Box, padding: float, size: Size) -> Region:
    """A square region around a box, larger than its longer side by `padding` of it on both ends.

    It is moved into a photo of that size as far as it fits; what is longer than the photo is cut off.
    """
    side = max(1.0, max(box.width, box.height) * (1 + 2 * padding))
    width, height = min(side, size.width), min(side, size.height)
    x0 = min(max((box.x0 + box.x1 - width) / 2, 0.0), size.width - width)
    y0 = min(max((box.y0 + box.y1 - height) / 2, 0.0), size.height - height)
    return Box(x0, y0, x0 + width, y0 + height).region().intersect(Region.of(size))


def on_square(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture (height x width x 3) in its own shape in the middle of a square of the mean colour of its border."""
    size = size_of(picture)
    scale = side / max(size)
    picture = resized(picture, Size(max(1, round(size.width * scale)), max(1, round(size.height * scale))))
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    result = np.empty((side, side, 3), np.uint8)
    result[:] = border.mean(axis=0)
    y, x = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    result[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return result


def float32(value: float) -> float:
    """The nearest number that a float field of a message can hold."""
    return float(np.float32(value))

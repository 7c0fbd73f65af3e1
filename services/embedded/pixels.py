"""Cropping and resizing photos for a network's input."""

import cv2
import numpy as np

from tensorhop.values.geometry import Box, Region, Size, size_of


def resized(picture: np.ndarray, size: Size) -> np.ndarray:
    """A picture at another size.

    Each axis is averaged if it shrinks and interpolated linearly if it grows. So fine detail does not alias, and a
    picture of 1 x 5000 pixels does not lose most of its pixels.

    Args:
        picture: height x width or height x width x channels, uint8 or float32.

    Returns:
        The same dtype and number of axes.
    """
    now = size_of(picture)
    smaller = Size(min(now.width, size.width), min(now.height, size.height))
    if smaller != now:
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
    if smaller != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return picture


def crop(photo: np.ndarray, region: Region) -> np.ndarray:
    """The photo's pixels in a region. Outside of the photo, the pixels at its edge are repeated.

    Args:
        photo: height x width x 3, uint8.
        region: overlaps the photo.

    Returns:
        height x width x 3 of the region, uint8; a view of the photo if the region lies inside.
    """
    inside = region.intersect(Region.of(size_of(photo)))
    piece = photo[inside.slices]
    borders = (inside.y0 - region.y0, region.y1 - inside.y1, inside.x0 - region.x0, region.x1 - inside.x1)
    if not any(borders):
        return piece
    return cv2.copyMakeBorder(piece, *borders, cv2.BORDER_REPLICATE)


def square(box: Box, padding: float, size: Size) -> Region:
    """A square region around a box. Its side is the box's longer side plus `padding` times that side at both ends.

    The region is moved into a photo of that size as far as it fits. What is longer than the photo is cut off.
    """
    side = max(1.0, max(box.width, box.height) * (1 + 2 * padding))
    width, height = min(side, size.width), min(side, size.height)
    x0 = min(max((box.x0 + box.x1 - width) / 2, 0.0), size.width - width)
    y0 = min(max((box.y0 + box.y1 - height) / 2, 0.0), size.height - height)
    return Box(x0, y0, x0 + width, y0 + height).region().intersect(Region.of(size))


def on_square(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture in its own shape in the middle of a square of the mean colour of its border.

    Args:
        picture: height x width x 3, uint8.
        side: of the square, in pixels.

    Returns:
        side x side x 3, uint8.
    """
    size = size_of(picture)
    scale = side / max(size)
    picture = resized(picture, size.scaled(scale))
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    result = np.empty((side, side, 3), np.uint8)
    result[:] = border.mean(axis=0)
    y, x = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    result[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return result


def float32(value: float) -> float:
    """The nearest float32: the number that a message's float field can hold."""
    return float(np.float32(value))

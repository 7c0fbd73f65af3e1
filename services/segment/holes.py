"""Holes of an object through which a plain ground shows."""

import cv2
import numpy as np

from tensorhop.services.embedded.pixels import resized
from tensorhop.values.geometry import size_of

_DETAIL = 320  # pixels: the longest side at which holes are looked for
_MARGIN = 3  # pixels of that: nearer to what is salient, a pixel may be the object's
_SAMPLED = 5  # every fifth pixel of the ground is enough to learn its colour
_GROUND = 0.05  # of all pixels: the least ground from which its colour is learned

# In levels of 255:
_PLAIN = 4.0  # a ground that deviates more from a slope of colour is not plain
_ALIKE = 6.0  # a pixel that is nearer to the ground's colour may show the ground
_SHIFT = 2.0  # what is farther from the ground's colour on average is a print
_TEXTURE = 1.0  # so is what deviates by this much more than the ground does

_OUTLIERS = 6.0  # standard deviations of the ground that its pixels stay within, even if they are clipped at white
_ENTIRE = 0.995  # of a hole's pixels that show the ground: a clock's face has hands on it
_LARGE = 0.07  # of the object with its holes: smaller spots may be print, such as a letter
_SPOT = 0.002  # of the object with its holes: smaller spots do not count
_BLUR = 0.8  # pixels of that detail: the edge of a hole is as soft as a network's
_MOST = 2  # scissors have two holes; more spots of the ground's colour are a pattern


def find_holes(core: np.ndarray, saliency: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Where a plain ground shows through an object that a network has filled.

    Networks mostly mark a ring's hole as salient, and as much as a disc with a printed disc. So the colour decides. A
    hole is enclosed by the object, has the colour of the ground around it, without anything else in it, and is large.
    An object with more than two spots of the ground's colour is patterned and has no holes. One large print that has
    exactly the ground's colour, such as a blank white label on a white ground, looks like a hole and is taken for one.

    Args:
        core: height x width, bool: the object's pixels.
        saliency: height x width, float32, 0 to 1: of everything. The ground is where it is below 0.1.
        picture: height x width x 3, uint8, sRGB.

    Returns:
        height x width, float32, 0 to 1: 1 in holes, and soft at their edges.
    """
    size = size_of(core)
    small = size.scaled(min(1.0, _DETAIL / max(size)))
    seen, inside = resized(saliency, small), resized(core.view(np.uint8), small).view(bool)
    kernel = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
    ground = cv2.dilate(((seen >= 0.1) | inside).view(np.uint8), kernel) == 0
    none = np.zeros(core.shape, np.float32)
    if np.count_nonzero(ground) < _GROUND * ground.size:
        return none
    colours = resized(picture, small).astype(np.float32)
    smooth, noise = fitted_slope(colours, ground)
    if noise > _PLAIN:
        return none
    rest = colours - smooth
    alike = np.abs(rest).max(axis=2) < max(_ALIKE, _OUTLIERS * noise)
    spots, whole = enclosed(inside & ~alike)
    spots = [spot for spot in spots if np.count_nonzero(spot) >= _SPOT * whole and alike[spot].mean() > 0.5]
    if not spots or len(spots) > _MOST:
        return none
    holes = np.zeros(alike.shape, np.float32)
    for spot in spots:
        middle = cv2.erode(spot.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)  # the rest is mixed with the rim
        if (
            np.count_nonzero(spot) >= _LARGE * whole
            and alike[middle].mean() >= _ENTIRE
            and np.abs(rest[middle].mean(axis=0)).max() < _SHIFT
            and rest[middle].std() < noise + _TEXTURE
        ):
            holes[spot] = 1
    if not holes.any():
        return none
    holes = cv2.GaussianBlur(cv2.dilate(holes, np.ones((3, 3), np.uint8)), (0, 0), _BLUR)  # with the pixels of the edge
    return resized(holes, size)


def enclosed(solid: np.ndarray) -> tuple[list[np.ndarray], float]:
    """The areas that a solid encloses, with all that is in them, and the area of the solid without holes, in pixels.

    Args:
        solid: height x width, bool.

    Returns:
        One array of the solid's shape, bool, for each area; and the number of pixels.
    """
    outlines, relations = cv2.findContours(solid.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    spots, whole = [], 0.0
    for index, outline in enumerate(outlines):
        if relations[0, index, 3] < 0:  # it has no parent
            whole += cv2.contourArea(outline)
            continue
        spot = cv2.drawContours(np.zeros(solid.shape, np.uint8), outlines, index, 1, cv2.FILLED)
        spots.append(cv2.erode(spot, np.ones((3, 3), np.uint8)).view(bool))  # its outline lies on the solid
    return spots, whole


def fitted_slope(picture: np.ndarray, ground: np.ndarray) -> tuple[np.ndarray, float]:
    """The slope of colour that fits the ground best, by least squares, and the ground's standard deviation from it.

    Args:
        picture: height x width x 3, float32.
        ground: height x width, bool; some are True.

    Returns:
        The slope, of the picture's shape and dtype, and the deviation in the picture's unit.
    """
    height, width = ground.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    rows, columns = (places[::_SAMPLED] for places in np.nonzero(ground))
    terms = np.stack([np.ones(rows.shape, np.float32), x[columns], y[rows]], axis=1)
    level, across, down = np.linalg.lstsq(terms.T @ terms, terms.T @ picture[rows, columns], rcond=None)[0]
    smooth = level + x[None, :, None] * across + y[:, None, None] * down
    return smooth, float((picture[rows, columns] - smooth[rows, columns]).std())

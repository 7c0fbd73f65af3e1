"""What a transparent photo is laid on, and whether its alpha tells an object from its surroundings."""

import cv2
import numpy as np

GROUNDS = (255, 128, 0)  # greys, the first preferred
NEAR = 48  # levels: an edge that differs less from the ground is lost to a model
LOST = 0.1  # of the object's edge, that may be lost before another ground is tried
CLEAR = 12  # alpha up to which a pixel counts as transparent
OBJECT = 128  # alpha from which it counts as the object's
CUT_OUT = 0.05  # of the photo, that is transparent around an object that was cut out
FULL = 0.98  # of its box, that a photo with transparent bars fills


def ground_of(pixels: np.ndarray, alpha: np.ndarray) -> tuple[int, int, int]:
    """The grey for the transparent part of a photo: white, unless the object's edge is white too.

    Args:
        pixels: height x width x 3, uint8.
        alpha: height x width, uint8.
    """
    solid = (alpha >= OBJECT).astype(np.uint8)
    edge = pixels[(solid > 0) & (cv2.erode(solid, np.ones((3, 3), np.uint8)) == 0)].astype(np.int16)
    best, least = GROUNDS[0], 1.0
    for grey in GROUNDS:
        lost = float((np.abs(edge - grey).max(axis=1) < NEAR).mean()) if len(edge) else 0.0
        if lost <= LOST:
            return grey, grey, grey
        if lost < least:
            best, least = grey, lost
    return best, best, best


def is_cut_out(alpha: np.ndarray) -> bool:
    """Whether an alpha (height x width, uint8) tells an object from its surroundings.

    It does not if hardly anything is transparent, as beside rounded corners, or if there are only bars beside a photo.
    """
    solid = alpha >= OBJECT
    if not solid.any() or np.count_nonzero(alpha <= CLEAR) < CUT_OUT * alpha.size:
        return False
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    spans = height == alpha.shape[0] or width == alpha.shape[1]
    return not (spans and np.count_nonzero(solid) >= FULL * height * width)

"""Mattes from a network that is told where to look: by a trimap, made from a mask."""

from collections.abc import Callable

import cv2
import numpy as np

from tensorhop.services.postprocess.refine import ramp
from tensorhop.values.geometry import Size, size_of

LARGEST = 1024  # pixels: pictures with a longer side are brought down to it; it is the side of the published files
SURE = 0.02  # a mask is sure where it is nearer to 0 or 1 than this
REACH = 0.01  # of the picture's longer side: the unknown band goes as far beyond what is not sure
OBJECT, GROUND, UNKNOWN = 1.0, 0.0, 0.5

# From 4 x height x width, float32, RGB from 0 to 1 and the trimap, to height x width, float32, 0 to 1.
Network = Callable[[np.ndarray], np.ndarray]


def make_trimap(alpha: np.ndarray) -> np.ndarray:
    """Where a mask is sure of the object, where of the background, and the band around its edge where it is neither.

    The band holds every soft pixel. It reaches further by a hundredth of the longer side, or by the width of the mask's
    edges if they are wider, and by 2 pixels at least. So it is wide along hair that is soft in the mask, and narrow
    along a clear edge.

    Args:
        alpha: float32, height x width, 0 to 1.

    Returns:
        float32, height x width: 0, 0.5 (unknown) or 1.
    """
    inside = (alpha >= 0.5).view(np.uint8)
    soft = ((alpha > SURE) & (alpha < 1 - SURE)).view(np.uint8)
    edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    reach = max(2, round(REACH * max(alpha.shape)), round(ramp(alpha)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    unknown = cv2.dilate(cv2.bitwise_or(soft, edge), disc)
    return np.where(unknown, np.float32(UNKNOWN), inside.astype(np.float32))


def refine_by(network: Network, size: Size, crop: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A mask whose unknown band is what a network answers. The rest is 0 or 1.

    Args:
        size: at which the network sees the picture.
        crop: uint8, height x width x 3, sRGB: the photo.
        alpha: float32, height x width, 0 to 1.

    Returns:
        float32, height x width, 0 to 1; `alpha` itself if no pixel is unknown, or none is surely the object's.
    """
    shrinks = size.width < alpha.shape[1] or size.height < alpha.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    trimap = make_trimap(cv2.resize(alpha, size, interpolation=way))
    if not (trimap == UNKNOWN).any() or not (trimap == OBJECT).any():
        return alpha
    seen = np.empty((4, size.height, size.width), np.float32)
    seen[:3] = cv2.resize(crop, size, interpolation=way).transpose(2, 0, 1)
    seen[:3] /= 255
    seen[3] = trimap
    matte = np.where(trimap == UNKNOWN, network(seen), trimap).astype(np.float32)
    return np.clip(cv2.resize(matte, size_of(alpha), interpolation=cv2.INTER_LINEAR), 0, 1)


def brought_down(picture: Size) -> Size:
    """The size of a picture whose longer side is at most LARGEST."""
    return picture.scaled(min(1.0, LARGEST / max(picture)))

"""Alignment of a coarse mask's edges with the photo's edges."""

import cv2
import numpy as np

from tensorhop.services.embedded.pixels import resized
from tensorhop.values.geometry import Size, size_of

_SOFTNESS = 1e-4  # colour variance (of colours 0 to 1) below which a window counts as plain, and the mask is smoothed
_RAMP = 3  # pixels of a network's output over which its mask goes from 0 to 1 at a sharp edge
# From this `relief` on an edge is sharp, and a haze around it is cleared in full; below half of it, not at all.
_SHARP = 0.1
_HAZE = 0.2  # alpha up to this, and within this of 1, is the texture of the ground and of the object at a sharp edge
_SURE = 0.98  # from here on a coarse mask is sure of the object, and the colours take nothing away


def align_edges(mask: np.ndarray, photo: np.ndarray, upscaling: float) -> np.ndarray:
    """A mask with its soft edges redrawn to follow the photo's colours.

    This is the guided filter of He, Sun and Tang (2013, "Guided image filtering") with the photo's colours as the
    guide. In each small window the mask becomes a linear function of the colour, so it follows hair and rims that the
    coarse mask blurs. As in the fast version (He and Sun 2015, arXiv:1505.00996), the functions are fitted at a smaller
    size. Only places near the mask's edge change, because inside an object its texture would show in the mask.

    The functions do not end at 0 and 1, so texture such as wood grain shows beside an edge as a haze of up to 0.25.
    Where the coarse mask has a sharp edge, alpha is stretched so that the haze falls below 0. Where it is soft, such as
    at hair and whiskers, faint alpha may be the object's and stays.

    Args:
        mask: height x width, float32, 0 to 1.
        photo: height x width x 3, uint8, sRGB, of the same size.
        upscaling: how many pixels of the mask one pixel of the network's output covers, along each axis.

    Returns:
        height x width, float32, 0 to 1; `mask` itself if it has no soft edges.
    """
    uncertain = ((mask > 0.02) & (mask < 0.98)).astype(np.uint8)
    reach = max(1, round(upscaling))
    band = cv2.dilate(uncertain, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)).astype(bool)
    if not band.any():
        return mask
    size = size_of(mask)
    step = max(1, round(upscaling / 2))
    small = Size(max(1, size.width // step), max(1, size.height // step))
    radius = max(1, round(2 * upscaling / step))
    slope, offset = _fitted(
        resized(photo, small).astype(np.float32) / 255,
        resized(mask, small),
        resized(band.astype(np.uint8), small).astype(bool),
        radius,
    )
    rows, columns = np.nonzero(band)
    colours = photo[rows, columns].astype(np.float32) / 255
    drawn = (resized(slope, size)[rows, columns] * colours).sum(axis=1) + resized(offset, size)[rows, columns]
    sharp = np.clip(2 * relief(resized(mask, small), _RAMP * upscaling / step) / _SHARP - 1, 0, 1)
    haze = _HAZE * resized(sharp, size)[rows, columns]
    drawn = np.clip((np.clip(drawn, 0, 1) - haze) / (1 - 2 * haze), 0, 1)
    coarse = mask[rows, columns]
    result = mask.copy()
    result[rows, columns] = np.where(coarse >= _SURE, np.maximum(drawn, coarse), drawn)
    return result


def relief(mask: np.ndarray, ramp: float) -> np.ndarray:
    """How far a mask is from its own average over a ramp, around each pixel.

    Args:
        mask: height x width, float32, 0 to 1.
        ramp: how many pixels of `mask` its sharp edges take from 0 to 1.

    Returns:
        height x width, float32: 0 on slopes and plains, about 0.1 at edges.
    """
    kernel = (2 * max(1, round(ramp / 2)) + 1,) * 2
    rest = mask - cv2.blur(mask, kernel)
    return np.sqrt(np.maximum(cv2.blur(rest * rest, kernel), 0))


def _fitted(guide: np.ndarray, mask: np.ndarray, where: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset of the linear functions, mask = slope . colour + offset, averaged over each pixel's windows."""
    kernel = (2 * radius + 1, 2 * radius + 1)
    mean, mean_mask = cv2.blur(guide, kernel), cv2.blur(mask, kernel)
    near = cv2.dilate(where.astype(np.uint8), np.ones(kernel, np.uint8)).astype(bool)
    count = int(near.sum())
    covariance = np.empty((count, 3, 3), np.float32)
    with_mask = np.empty((count, 3), np.float32)
    for i in range(3):
        with_mask[:, i] = (cv2.blur(guide[..., i] * mask, kernel) - mean[..., i] * mean_mask)[near]
        for j in range(i, 3):
            product = cv2.blur(guide[..., i] * guide[..., j], kernel) - mean[..., i] * mean[..., j]
            covariance[:, i, j] = covariance[:, j, i] = product[near]
    covariance += _SOFTNESS * np.eye(3, dtype=np.float32)
    slope = np.zeros_like(guide)
    slope[near] = np.linalg.solve(covariance, with_mask[..., None])[..., 0]
    offset = mean_mask - (slope * mean).sum(axis=2)
    return cv2.blur(slope, kernel), cv2.blur(offset, kernel)

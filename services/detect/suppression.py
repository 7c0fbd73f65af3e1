"""Non-maximum suppression: of boxes that show the same object, the best one stays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tensorhop.values.geometry import Box

_MOSTLY = 0.7  # under one phrase, a box with this fraction inside another box is a part of that box
_WHOLENESS = 0.125  # exponent of a box's area in the ranking: of nearly equal boxes, the larger is the whole object


@dataclass(frozen=True)
class Candidate:
    """A box, which of the phrases fits it best, and how well."""

    box: Box
    phrase: int
    score: float


def suppressed(candidates: Sequence[Candidate], iou_threshold: float) -> list[Candidate]:
    """The candidates that stay, best score first: suppressed by overlap across phrases, and by parts within a phrase.

    Args:
        iou_threshold: of two boxes whose intersection over union is above this, only the better one stays.
    """
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: -one.score * one.box.area**_WHOLENESS):
        if not any(_same(one, other, iou_threshold) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: -one.score)


def _same(one: Candidate, other: Candidate, iou_threshold: float) -> bool:
    if one.box.iou(other.box) > iou_threshold:
        return True
    return one.phrase == other.phrase and (inside(one.box, other.box) or inside(other.box, one.box))


def inside(box: Box, other: Box) -> bool:
    """Whether most of a box lies inside another one."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return max(0.0, width) * max(0.0, height) > _MOSTLY * box.area


def without_overlaps(boxes: np.ndarray, iou_threshold: float) -> np.ndarray:
    """The boxes that stay when only overlap counts.

    Args:
        boxes: n x 4, float32: x0, y0, x1, y1; best first.
        iou_threshold: a box is dropped if its intersection over union with a better box that stays is above this.

    Returns:
        Indices of the boxes that stay, int, best first.
    """
    x0, y0, x1, y1 = boxes.astype(np.float64).T
    areas = (x1 - x0) * (y1 - y0)
    left, kept = np.arange(len(boxes)), []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        width = np.minimum(x1[best], x1[left]) - np.maximum(x0[best], x0[left])
        height = np.minimum(y1[best], y1[left]) - np.maximum(y0[best], y0[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        left = left[shared <= iou_threshold * (areas[best] + areas[left] - shared)]
    return np.array(kept, np.intp)

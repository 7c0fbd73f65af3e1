"""Where the ground is below an object, read from the lower outline of its silhouette.

An object stands on its feet, the lowest places of its outline, of which each has its own height in the picture, since
one that stands further back is higher up. The camera looks down a little, so that a step away from the viewer is as
long in the picture as FORESHORTENING of a step to the right.
"""

import cv2
import numpy as np

FORESHORTENING = 0.35
FOOT_ZONE = 0.25  # of the object's longer side: how much higher than the lowest foot another one can be
STRAIGHT = 0.3  # how much of its depth is seen below the middle of a foot with a straight base
RECESSION = 0.5  # rows by column: the steepest that an outline rises along the ground
STRAIGHT_RECESSION = 0.9  # the same for a straight edge, as of a box that is seen from further up
FOOT_DISTANCE = 0.06  # of the object's longer side: the least between two feet
STEP = 0.1  # of the object's longer side: a foot higher up by more than this stands clear of the lower ones
CLEAR = 0.3  # by how much of its height over them


def ground_line(bottom: np.ndarray, tall: int, deepest: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Where the ground is below every column.

    The middle of a foot is half its depth behind its lowest row. Between feet the ground runs straight.

    Args:
        bottom: the row below the object's lowest cell in every column; -1 in columns without the object.
        tall: rows of the object.
        deepest: the largest half depth that the lowest part of every column can have, in columns.

    Returns:
        For every column, the row at which the middle of what stands there meets the ground; whether the column belongs
        to an object that rises upright from its foot, as a mug does, but not a ball, nor a table from its leg; and how
        far behind each other the first and the last foot stand, in columns.
    """
    wide = int(np.ptp(np.flatnonzero(bottom >= 0))) + 1
    extent = max(tall, wide)
    step = max(2, round(0.02 * extent))
    window = 2 * max(1, round(FOOT_DISTANCE * extent)) + 1
    lowest_around = cv2.dilate(bottom[None].astype(np.float32), np.ones((1, window), np.uint8))[0]
    feet = np.flatnonzero((bottom >= lowest_around) & (bottom >= bottom.max() - FOOT_ZONE * extent) & (bottom >= 0))
    taken = np.zeros(bottom.size, bool)
    line: list[tuple[float, float]] = []
    upright = np.zeros(bottom.size, bool)
    for foot in feet[np.argsort(-bottom[feet], kind="stable")]:
        if taken[foot] or not stands(bottom, foot, STEP * extent):
            continue
        left, right = span(bottom, foot, step)
        taken[left:right] = True
        half = FORESHORTENING * min((right - left) / 2, float(deepest[left:right].max()))
        # A straight base is seen from lower down than a curved one.
        rise = float(bottom[foot] - bottom[left:right].mean())
        curved = min(max(rise / max((1 - np.pi / 4) * half, 1), STRAIGHT), 1)  # 1 for an ellipse
        # Where the outline goes on rising beyond the foot, as a ball's does, only the middle of it stands.
        rounded = [
            0 <= end < bottom.size and bottom[end] >= 0 and bottom[end] >= bottom[edge] - 3 * step
            for edge, end in ((left, left - step), (right - 1, right - 1 + step))
        ]
        middle = bottom[foot] - half * curved * (1 - 0.25 * sum(rounded))
        upright[left:right] = right - left >= 0.5 * wide and not all(rounded)
        line += [(left, middle), (right - 1, middle)]
    columns, rows = np.array(sorted(line)).T
    ground = np.interp(np.arange(bottom.size), columns, rows)
    return ground, upright, float(np.ptp(rows)) / FORESHORTENING


def stands(bottom: np.ndarray, foot: int, step: float) -> bool:
    """Whether a lowest place is a foot: not a handle, nor the frame between two wheels.

    A foot far up in the picture, as a chair's hind leg, stands clear: the outline rises on the way to the lower feet.
    """
    higher = float(bottom.max() - bottom[foot])
    if higher <= step:
        return True
    for side in (bottom[foot::-1], bottom[foot:]):
        lower = np.flatnonzero(side > bottom[foot] + 1)
        if lower.size and side[: lower[0]].min() > bottom[foot] - CLEAR * higher:
            return False
    return True


def span(bottom: np.ndarray, foot: int, step: int) -> tuple[int, int]:
    """The columns of a foot, half-open.

    Those around its lowest place in which the outline rises no faster than a line on the ground that recedes from it,
    and does not come down again.
    """
    at = np.arange(bottom.size)
    highest = np.concatenate(  # the outline's highest place between the foot and the column
        [np.minimum.accumulate(bottom[foot::-1])[:0:-1], np.minimum.accumulate(bottom[foot:])]
    )
    jump = np.abs(np.diff(bottom)) > step
    beyond = np.where(at < foot, np.append(jump, False), np.insert(jump, 0, False))  # something else begins
    ends: list[tuple[int, int]] = []
    for recession in (RECESSION, STRAIGHT_RECESSION):
        steep = bottom < bottom[foot] - recession * np.abs(at - foot) - 1
        gaps = np.flatnonzero(steep | beyond | (bottom > highest + step) | (bottom < 0))
        ends.append((int(gaps[gaps < foot].max(initial=-1)) + 1, int(gaps[gaps > foot].min(initial=bottom.size)) - 1))
    (left, right), (far_left, far_right) = ends
    return (
        far_left if straight(bottom, far_left, foot, step) else left,
        (far_right if straight(bottom, foot, far_right, step) else right) + 1,
    )


def straight(bottom: np.ndarray, left: int, right: int, step: int) -> bool:
    """Whether the outline is a straight line from one column to another."""
    line = np.linspace(bottom[left], bottom[right], right - left + 1)
    return bool(np.abs(bottom[left : right + 1] - line).max() <= step)

"""The ground line below an object, from the lower outline of its silhouette.

An object stands on its feet: the lowest places of its outline. A foot that stands further back is higher up in the
picture. The camera looks down a little: a step away from the viewer is FORESHORTENING times as long in the picture as a
step to the right.
"""

import cv2
import numpy as np

FORESHORTENING = 0.35
FOOT_ZONE = 0.25  # of the object's longer side: how much higher than the lowest foot another one can be
STRAIGHT = 0.3  # fraction of its depth that is seen below the middle of a foot with a straight base
RECESSION = 0.5  # rows by column: the steepest slope of an outline along the ground
STRAIGHT_RECESSION = 0.9  # the same for a straight edge, such as that of a box seen from further up
FOOT_DISTANCE = 0.06  # of the object's longer side: the least between two feet
STEP = 0.1  # of the object's longer side: a foot that is higher up by more than this must stand clear of the lower ones
CLEAR = 0.3  # fraction of its height over the lower feet by which the outline must rise between them


def ground_line(bottom: np.ndarray, tall: int, deepest: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The row of the ground below every column.

    The middle of a foot is half its depth behind its lowest row. Between feet the ground runs straight.

    Args:
        bottom: shape columns, int: the row below the object's lowest cell in every column; -1 in columns without the
            object.
        tall: rows of the object.
        deepest: shape columns, float32: the largest half depth that the lowest part of every column can have, in
            columns.

    Returns:
        The ground, shape columns, float64: the row at which the middle of the part in that column meets the ground.
        Upright columns, shape columns, bool: where the object rises upright from its foot, as a mug does; a ball does
        not, nor does a table from its leg. The distance between the foremost and the hindmost foot, in columns.
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
        # Of a straight base, less is seen below its middle than of a curved one.
        rise = float(bottom[foot] - bottom[left:right].mean())
        curved = min(max(rise / max((1 - np.pi / 4) * half, 1), STRAIGHT), 1)  # 1 for an ellipse
        # If the outline goes on rising beyond the foot, as a ball's does, only the foot's middle is on the ground.
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
    """Whether a lowest place of the outline is a foot.

    A foot far up in the picture, such as a chair's hind leg, stands clear: the outline rises between it and the lower
    feet. A mug's handle, or a bicycle's frame between its wheels, does not stand clear.

    Args:
        bottom: the outline, shape columns, as for `ground_line`.
        foot: the column of the lowest place.
        step: rows: a place that is higher up than the lowest foot by no more than this is a foot anyway.
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
    """The first column of a foot, and the one after its last.

    These are the columns around its lowest place in which the outline rises no faster than a line on the ground that
    recedes from it, and does not come down again.

    Args:
        bottom: the outline, shape columns, as for `ground_line`.
        foot: the column of the foot's lowest place.
        step: rows: a jump of the outline by more than this ends the foot.
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
    """Whether the outline (shape columns) is a straight line from one column to another, within `step` rows."""
    line = np.linspace(bottom[left], bottom[right], right - left + 1)
    return bool(np.abs(bottom[left : right + 1] - line).max() <= step)

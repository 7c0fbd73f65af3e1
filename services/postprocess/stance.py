"""How an object stands on the ground, read from its silhouette.

A picture shows no more than a silhouette, so the object is taken for a solid of which every row is round: a run of
pixels w wide is a disc of diameter w. That is exact for a ball and a bottle, and near enough for the rest. It stands on
its feet, the lowest places of its outline, of which each has its own height in the picture, since one that stands
further back is higher up. The camera looks down a little, so that a step away from the viewer is as long in the picture
as FORESHORTENING of a step to the right.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from tensorhop.geometry import Region

FORESHORTENING = 0.35
DETAIL = 320  # longest side in cells: shadows are soft, and need no more
FOOT_ZONE = 0.25  # of the object's longer side: how much higher than the lowest foot another one can be
STRAIGHT = 0.3  # how much of its depth is seen below the middle of a foot with a straight base
RECESSION = 0.5  # rows by column: the steepest that an outline rises along the ground
FOOT_DISTANCE = 0.06  # of the object's longer side: the least between two feet

CRUMB = 0.02  # of the area of the largest piece of an object


@dataclass(frozen=True)
class Stance:
    """An object's solid as a list of the silhouette's cells, in columns and rows of cells."""

    x: np.ndarray  # float32: column of the cell's middle
    ground: np.ndarray  # row of the ground below the middle of the disc that the cell belongs to
    height: np.ndarray  # above the ground
    back: np.ndarray  # how far the disc reaches away from the viewer there, in rows
    front: np.ndarray  # and towards the viewer
    weight: np.ndarray  # opacity
    extent: float  # the object's longer side
    cell: float  # size of a cell in pixels of the photo
    origin: tuple[float, float]  # of the cells, in pixels of the photo

    @classmethod
    def of(cls, alpha: np.ndarray, region: Region) -> Self:
        """The stance of an object.

        Args:
            alpha: float32, height x width, 0 to 1, not 0 everywhere.
            region: the pixels of the photo that alpha covers.
        """
        cell = max(1.0, max(alpha.shape) / DETAIL)
        height, width = (max(1, round(side / cell)) for side in alpha.shape)
        small = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA) if cell > 1 else alpha
        solid = without_crumbs(small >= 0.5 * float(small.max()))
        rows, columns = np.nonzero(solid)
        tall, wide = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        deepest = 0.5 * max(tall, 0.2 * wide)
        top, bottom = np.argmax(solid, axis=0), height - np.argmax(solid[::-1], axis=0)
        line, upright = ground_line(np.where(solid.any(axis=0), bottom, -1), tall, deepest)
        ground = line[columns]
        above = np.maximum(ground - rows - 0.5, 0)
        half = FORESHORTENING * np.minimum(half_depth(solid)[rows, columns], deepest)
        # What is seen of a disc lies inside the outline, and what rises upright from a foot does not lean over it.
        back = ground - above - top[columns]
        front = bottom[columns] - ground + np.where(upright[columns], 0, above)
        return cls(
            x=(columns + 0.5).astype(np.float32),
            ground=ground.astype(np.float32),
            height=above.astype(np.float32),
            back=np.clip(back, 0.5, np.maximum(half, 0.5)).astype(np.float32),
            front=np.clip(front, 0.5, np.maximum(half, 0.5)).astype(np.float32),
            weight=small[rows, columns],
            extent=max(tall, wide),
            cell=cell,
            origin=(region.x0, region.y0),
        )


def without_crumbs(solid: np.ndarray) -> np.ndarray:
    """Without pieces much smaller than the largest; they would be taken for feet, and cast spots."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid.view(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    return (areas >= CRUMB * areas.max())[labels]


def half_depth(solid: np.ndarray) -> np.ndarray:
    """Half the depth, at every cell, of the disc whose diameter is the cell's run in its row. In columns."""
    column = np.arange(solid.shape[1], dtype=np.float32) + np.float32(0.5)
    empty = ~solid
    start = np.maximum.accumulate(np.where(empty, column + 0.5, 0), axis=1)
    stop = np.minimum.accumulate(np.where(empty, column - 0.5, solid.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return np.sqrt(np.maximum((column - start) * (stop - column), 0)).astype(np.float32)


def ground_line(bottom: np.ndarray, tall: int, deepest: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the ground is below every column.

    A foot spans the columns around a lowest place in which the outline rises no faster than a line on the ground that
    recedes from it, and does not come down again. Its middle is half its depth behind its lowest row. Between feet the
    ground runs straight.

    Args:
        bottom: the row below the object's lowest cell in every column; -1 in columns without the object.
        tall: rows of the object.
        deepest: largest half depth, in columns.

    Returns:
        For every column, the row at which the middle of what stands there meets the ground; and whether the column
        belongs to an object that rises upright from its foot, as a mug does, but not a ball, nor a table from its leg.
    """
    at = np.arange(bottom.size)
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
        if taken[foot]:
            continue
        highest = np.concatenate(  # the outline's highest place between the foot and the column
            [np.minimum.accumulate(bottom[foot::-1])[:0:-1], np.minimum.accumulate(bottom[foot:])]
        )
        steep = bottom < bottom[foot] - RECESSION * np.abs(at - foot) - 1
        gaps = np.flatnonzero(steep | (bottom > highest + step) | (bottom < 0))
        left = int(gaps[gaps < foot].max(initial=-1)) + 1
        right = int(gaps[gaps > foot].min(initial=bottom.size))
        taken[left:right] = True
        half = FORESHORTENING * min((right - left) / 2, deepest)
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
    ground = np.interp(at, columns, rows)
    return np.where(upright, np.minimum(ground, bottom), ground), upright

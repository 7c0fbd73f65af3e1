"""An object's solid and where it stands on the ground, from its silhouette.

A picture shows only a silhouette, so the object is taken for a solid whose rows are round: a run of w pixels is a disc
of diameter w. That is exact for a ball or a bottle, and close enough for other objects. An object that the lower edge
of the photo cuts stands on the cut. One that the upper edge cuts has a rounded end above it.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np

from tensorhop.services.postprocess.ground import FORESHORTENING, ground_line
from tensorhop.values.geometry import Region, Size

DETAIL = 320  # longest side in cells; soft shadows need no more
FLATNESS = 0.7  # the largest half depth of a part, as a fraction of its thickness
CAP = 0.15  # of the longer side: the most that is added to an object that the photo's upper edge cuts
SMALL = 0.02  # of the area of the largest component: smaller ones are dropped


@dataclass(frozen=True)
class Solid:
    """An object's solid as a list of the silhouette's cells, in columns and rows of cells.

    Every array is float32 and has one value for each cell.
    """

    x: np.ndarray  # column of the cell's middle
    ground: np.ndarray  # row of the ground below the middle of the disc that the cell belongs to
    height: np.ndarray  # rows above the ground
    back: np.ndarray  # how far the disc reaches away from the viewer there, in rows
    front: np.ndarray  # how far it reaches towards the viewer, in rows
    weight: np.ndarray  # opacity, 0 to 1
    extent: float  # the object's longer side
    cell: float  # size of a cell in pixels of the photo
    origin: tuple[float, float]  # of the cells, in pixels of the photo

    @classmethod
    def of(cls, alpha: np.ndarray, region: Region, photo: Size) -> Self:
        """The solid that an object's silhouette stands for.

        Args:
            alpha: float32, height x width, 0 to 1, not 0 everywhere.
            region: the pixels of the photo that alpha covers.
            photo: size of the whole photo.
        """
        cell = max(1.0, max(alpha.shape) / DETAIL)
        height, width = (max(1, round(side / cell)) for side in alpha.shape)
        small = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA) if cell > 1 else alpha
        solid = without_small_components(small >= 0.5 * float(small.max()))
        cap = rounded_cap(solid) if region.y0 <= 0 else np.zeros((0, width), bool)
        solid, small = np.vstack([cap, solid]), np.vstack([cap.astype(np.float32), small])
        height += len(cap)
        rows, columns = np.nonzero(solid)
        tall, wide = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        deepest = 0.5 * max(tall, 0.2 * wide)
        at = np.arange(width)
        top, bottom = np.argmax(solid, axis=0), height - np.argmax(solid[::-1], axis=0)
        outline = np.where(solid.any(axis=0), bottom, -1)
        edge = bottom - 1 + small[bottom - 1, at] + np.pad(small, ((0, 1), (0, 0)))[bottom, at]  # in fractions of a row
        cut = np.flatnonzero(solid[-1]) if region.y1 >= photo.height else np.empty(0, int)
        if cut.size:  # the cut is one straight base, whatever is missing in it
            outline[cut[0] : cut[-1] + 1] = edge[cut[0] : cut[-1] + 1] = height
        flat = np.minimum(FLATNESS * thickness(solid), deepest).astype(np.float32)
        around = 2 * max(2, round(0.02 * max(tall, wide))) + 1
        lowest = cv2.dilate(flat, np.ones((around, 1), np.uint8))[bottom - 1, at]
        line, upright, apart = ground_line(outline, tall, lowest)
        line = np.where(upright, np.minimum(line, edge), line)
        ground = line[columns]
        above = np.maximum(ground - rows - 0.5, 0)
        deepest_there = np.maximum(flat, min(apart / 2, deepest))
        half = FORESHORTENING * np.minimum(half_depth(solid), deepest_there)[rows, columns]
        # The visible part of a disc lies inside the outline, and a part that rises upright does not reach beyond its
        # foot.
        back = ground - above - top[columns]
        front = edge[columns] - ground + np.where(upright[columns], 0, above)
        return cls(
            x=(columns + 0.5).astype(np.float32),
            ground=ground.astype(np.float32),
            height=above.astype(np.float32),
            back=np.clip(back, 0.5, np.maximum(half, 0.5)).astype(np.float32),
            front=np.clip(front, 0.5, np.maximum(half, 0.5)).astype(np.float32),
            weight=small[rows, columns],
            extent=max(tall, wide),
            cell=cell,
            origin=(region.x0, region.y0 - cell * len(cap)),
        )

    def footprint(self, height: float) -> Self:
        """The solid up to a height (in rows), flattened: one cell on the ground for every column, the deepest there."""
        low = np.flatnonzero(self.height <= height)
        columns, column = np.unique(self.x[low], return_inverse=True)

        def largest(values: np.ndarray) -> np.ndarray:
            """The largest of the low cells' values in each column."""
            result = np.zeros(columns.size, np.float32)
            np.maximum.at(result, column, values[low])
            return result

        return replace(
            self,
            x=columns,
            ground=largest(self.ground),  # the same for all cells of a column
            height=np.zeros(columns.size, np.float32),
            back=largest(self.back),
            front=largest(self.front),
            weight=largest(self.weight),
        )


def rounded_cap(solid: np.ndarray) -> np.ndarray:
    """What may be above the upper edge of a photo that cuts an object: a rounded end on every run of the cut.

    So the shadow of a cut object has no blunt end. Pieces that are apart in the photo meet above it, below one end, so
    that the shadow of the object is one piece, too.

    Args:
        solid: the silhouette, height x width, bool; its first row is the photo's.

    Returns:
        rows x width, bool, the lowest row last; no rows if nothing is cut.
    """
    columns = np.flatnonzero(solid[0])
    if not columns.size:
        return np.zeros((0, solid.shape[1]), bool)
    _, labels = cv2.connectedComponents(solid.view(np.uint8))
    if np.unique(labels[0, columns]).size > 1:
        runs = [columns]
    else:
        runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    half = [(run[-1] - run[0] + 1) / 2 for run in runs]
    tall = [max(1, math.ceil(min(each, CAP * max(solid.shape)))) for each in half]
    cap = np.zeros((max(tall), solid.shape[1]), bool)
    x = np.arange(solid.shape[1])
    for run, wide, high in zip(runs, half, tall, strict=True):
        y = (np.arange(len(cap), 0, -1) - 0.5)[:, None] / high
        cap |= ((x - (run[0] + run[-1]) / 2) / wide) ** 2 + y**2 <= 1
    return cap


def without_small_components(solid: np.ndarray) -> np.ndarray:
    """A silhouette without components much smaller than the largest; they would count as feet and cast spots.

    Args:
        solid: height x width, bool.

    Returns:
        height x width, bool.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid.view(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    return (areas >= SMALL * areas.max())[labels]


def half_depth(solid: np.ndarray) -> np.ndarray:
    """Half the depth, at every cell, of the disc whose diameter is the cell's run in its row.

    Args:
        solid: the silhouette, height x width, bool.

    Returns:
        height x width, float32, in columns.
    """
    column = np.arange(solid.shape[1], dtype=np.float32) + np.float32(0.5)
    empty = ~solid
    start = np.maximum.accumulate(np.where(empty, column + 0.5, 0), axis=1)
    stop = np.minimum.accumulate(np.where(empty, column - 0.5, solid.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return np.sqrt(np.maximum((column - start) * (stop - column), 0)).astype(np.float32)


def thickness(solid: np.ndarray) -> np.ndarray:
    """The diameter, at every cell, of the largest disc inside the silhouette that covers the cell, within a third.

    A spoke, a handle and a wheel's rim are no deeper than they are thick, though they may be long in a row.

    Args:
        solid: the silhouette, height x width, bool.

    Returns:
        height x width, float32, in cells.
    """
    distance = cv2.distanceTransform(np.pad(solid, 1).view(np.uint8), cv2.DIST_L2, 3)
    result = np.ones_like(distance)
    radius, largest = 1.0, float(distance.max())
    while radius <= largest:
        outside = cv2.distanceTransform((distance < radius).view(np.uint8), cv2.DIST_L2, 3)
        result[outside < radius] = 2 * radius
        radius *= 1.5
    return result[1:-1, 1:-1]

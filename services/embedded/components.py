"""Connected components of a map, with their place in the photo."""

from dataclasses import dataclass

import cv2
import numpy as np

from tensorhop.values.geometry import Box


@dataclass(frozen=True)
class Component:
    """One connected area.

    Attributes:
        area: rows x columns of the map, bool.
        box: the area's bounds, in pixels of the photo.
        mass: the sum of the map over the area, as a fraction of the map's size: 1 for a map full of ones.
    """

    area: np.ndarray
    box: Box
    mass: float


def components(values: np.ndarray, level: float, frame: Box, least: float = 0.001) -> list[Component]:
    """The connected areas (8 neighbours) where a map reaches a level, largest mass first.

    Args:
        values: the map, rows x columns, float32.
        level: the least value of a position in an area.
        frame: the part of the photo that the map covers, in pixels.
        least: areas with a smaller mass are left out.
    """
    count, labels = cv2.connectedComponents((values >= level).astype(np.uint8))
    masses = np.bincount(labels.ravel(), weights=values.ravel(), minlength=count) / values.size
    order = sorted(range(1, count), key=lambda label: -masses[label])
    return [component(labels == label, values, frame) for label in order if masses[label] >= least]


def component(area: np.ndarray, values: np.ndarray, frame: Box) -> Component:
    """An area of a map as a component.

    Args:
        area: rows x columns, bool, not empty.
        values: the map, rows x columns, float32.
        frame: the part of the photo that the map covers, in pixels.
    """
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    x, y = frame.width / area.shape[1], frame.height / area.shape[0]
    box = Box(
        frame.x0 + x * float(columns[0]),
        frame.y0 + y * float(rows[0]),
        frame.x0 + x * float(columns[-1] + 1),
        frame.y0 + y * float(rows[-1] + 1),
    )
    return Component(area, box, float(values[area].sum() / values.size))

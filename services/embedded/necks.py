"""Which pixels of a connected area belong together: all, unless a neck divides it."""

import cv2
import numpy as np

from tensorhop.values.geometry import Size, size_of

NECK = 0.5  # a neck is thinner than this fraction of what it divides: a head on its shoulders is not divided
_DETAIL = 320  # pixels: the longest side at which necks are looked for
_MINE = 0.5  # a thick piece with at least this fraction inside the part belongs to the part


def joined(area: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The pixels of a connected area that belong together with a part of it.

    Two thick pieces of an area are two things if every way from one to the other is a neck, thinner than NECK times the
    thinner piece. Thin parts, such as a tail, a spoon or a leg, are no thicker than their roots, so they stay.

    Args:
        area: height x width, bool, one connected component.
        part: pixels of the area, height x width, bool.

    Returns:
        height x width, bool; it holds no pixel outside `area`.
    """
    size = size_of(area)
    scale = min(1.0, _DETAIL / max(size))
    small = size.scaled(scale)
    here = area if scale == 1 else _resized(area, small)
    own = (part if scale == 1 else _resized(part, small)) & here
    if not own.any():
        return area & part
    depth = cv2.distanceTransform(np.pad(here, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    middle = np.unravel_index(np.argmax(depth * own), depth.shape)
    thick = float(depth[middle])
    count, pieces = cv2.connectedComponents((depth > NECK * thick).view(np.uint8))
    inside = np.bincount(pieces[own], minlength=count) / np.maximum(np.bincount(pieces.ravel(), minlength=count), 1)
    markers = np.zeros(here.shape, np.int32)
    for piece in range(1, count):
        of_piece = pieces == piece
        other = np.unravel_index(np.argmax(depth * of_piece), depth.shape)
        level = NECK * min(thick, float(depth[other]))
        _, at_level = cv2.connectedComponents((depth > level).view(np.uint8))
        divided = inside[piece] < _MINE and at_level[other] != at_level[middle]
        markers[of_piece] = 2 if divided else 1
    if not (markers == 2).any():
        return area
    foreign = cv2.dilate((nearer_by_way(here, markers) == 2).view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    return area & ~(foreign if scale == 1 else _resized(foreign, size))


def nearer_by_way(area: np.ndarray, markers: np.ndarray, picture: np.ndarray | None = None) -> np.ndarray:
    """To which marker each pixel of an area belongs, by the watershed of its thickness or of a picture's edges.

    Args:
        area: height x width, bool.
        markers: height x width, int32: 0 where it is open, 1 and more for the markers.
        picture: height x width x 3, uint8: where it has edges, areas meet there. Without it, they meet at necks.

    Returns:
        height x width, int32; -1 on the lines between two areas, and outside the area.
    """
    if picture is None:
        depth = cv2.distanceTransform(area.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        grey = np.rint(255 * (1 - depth / max(1.0, float(depth.max())))).astype(np.uint8)
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    rim = ((1, 1), (1, 1))  # the watershed leaves a picture's outermost pixels open
    outside = int(markers.max()) + 1
    marked = np.pad(np.where(area, markers, outside), rim, constant_values=outside).astype(np.int32)
    found = cv2.watershed(np.pad(picture, (*rim, (0, 0)), mode="edge"), marked)[1:-1, 1:-1]
    return np.where(area, found, -1)


def _resized(area: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(area.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) > 127

"""Which pixels belong to the thing in a box, where a network tells what stands out."""

import cv2
import numpy as np

from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Mask

CORE = 0.5  # saliency from which a pixel surely belongs to something
SLACK = 0.05  # of the box: how far things are expected to reach over it
_CUT = 0.05  # of the box's area: of other things, what lies in the box is kept from this size on


def split_instances(saliency: np.ndarray, box: Box, most: float, crumb: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The cores (connected pixels of at least CORE) of what the box holds, and those of everything else.

    Args:
        saliency: height x width, 0 to 1.
        box: in its pixels.
        most: of a thing, inside the box with its slack: it is the object, kept where it reaches further out, too. Of
            other things, what lies in the box is kept if it is large.
        crumb: of the largest core's area; smaller ones count as something else.

    Returns:
        Two of height x width, bool.
    """
    inside = within(box, size_of(saliency))
    count, labels = cv2.connectedComponents((saliency >= CORE).astype(np.uint8))
    areas = np.bincount(labels.ravel(), minlength=count)
    areas_inside = np.bincount(labels[inside], minlength=count)
    of_object = areas_inside >= most * areas
    of_object[0] = False
    cut = (areas_inside >= _CUT * box.area) & ~of_object
    cut[0] = False
    largest = (areas * of_object + areas_inside * cut).max(initial=0)
    of_object &= areas >= crumb * largest
    core = of_object[labels] | (cut[labels] & inside)
    return core, (labels > 0) & ~core


def within(box: Box, size: Size) -> np.ndarray:
    """The pixels in a box with its slack: height x width, bool."""
    inside = np.zeros((size.height, size.width), bool)
    inside[box.padded(SLACK).region().intersect(Region.of(size)).slices] = True
    return inside


def nearer(core: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The pixels that go with a core, because other cores are not nearer: bool."""
    return (_distance(core) <= _distance(others)) | core


def attached(area: np.ndarray, core: np.ndarray) -> np.ndarray:
    """The connected pieces of an area that hold a part of a core: bool."""
    _, pieces = cv2.connectedComponents(area.astype(np.uint8))
    return area & np.isin(pieces, np.unique(pieces[core & area]))


def to_canvas(box: Box, frame: Region, canvas: Size) -> Box:
    """A box of the photo in the pixels of a canvas that shows a frame of it."""
    x, y = canvas.width / frame.size.width, canvas.height / frame.size.height
    return Box((box.x0 - frame.x0) * x, (box.y0 - frame.y0) * y, (box.x1 - frame.x0) * x, (box.y1 - frame.y0) * y)


def trimmed_mask(alpha: np.ndarray, frame: Region) -> Mask:
    """The mask of a frame of the photo without the empty rows and columns around it."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return Mask(np.zeros((0, 0), np.uint8), Region(frame.x0, frame.y0, frame.x0, frame.y0))
    region = Region(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Mask(np.ascontiguousarray(alpha[region.slices]), region.moved(frame.x0, frame.y0))


def _distance(area: np.ndarray) -> np.ndarray:
    """Of every pixel to the nearest one of an area; infinite without one."""
    if not area.any():
        return np.full(area.shape, np.inf, np.float32)
    return cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)

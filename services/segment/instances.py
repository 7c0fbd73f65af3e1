"""The pixels of the object in a box, among those of all salient objects."""

import cv2
import numpy as np

from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Mask

CORE = 0.5  # from this saliency on, a pixel surely belongs to an object
SLACK = 0.05  # fraction of the box's sides by which objects may reach beyond it
_CUT = 0.05  # of the box's area: the part of another core inside the box is kept if it is at least this large


def split_instances(saliency: np.ndarray, box: Box, most: float, small: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The cores of the object in a box, and the cores of everything else.

    A core is a connected component of pixels whose saliency is at least CORE.

    Args:
        saliency: height x width, float32, 0 to 1.
        box: in pixels of `saliency`.
        most: a core with at least this fraction inside the box (with its slack) is the object's, also beyond the box.
            Of another core, the part inside the box is kept if it is large.
        small: of the largest core's area: smaller cores do not count as the object's.

    Returns:
        Two arrays of height x width, bool.
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
    of_object &= areas >= small * largest
    core = of_object[labels] | (cut[labels] & inside)
    return core, (labels > 0) & ~core


def within(box: Box, size: Size) -> np.ndarray:
    """The pixels in a box with its slack: height x width, bool."""
    inside = np.zeros((size.height, size.width), bool)
    inside[box.padded(SLACK).region().intersect(Region.of(size)).slices] = True
    return inside


def nearer(core: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The pixels that belong to a core because no other core is nearer. All arrays: height x width, bool."""
    return (_distance(core) <= _distance(others)) | core


def attached(area: np.ndarray, core: np.ndarray) -> np.ndarray:
    """The connected components of an area that hold a part of a core. All arrays: height x width, bool."""
    count, pieces = cv2.connectedComponents(area.astype(np.uint8))
    held = np.zeros(count, bool)
    held[pieces[core & area]] = True
    return area & held[pieces]


def to_canvas(box: Box, frame: Region, canvas: Size) -> Box:
    """A box of the photo in pixels of a canvas, which shows a frame of the photo."""
    x, y = canvas.width / frame.size.width, canvas.height / frame.size.height
    return Box((box.x0 - frame.x0) * x, (box.y0 - frame.y0) * y, (box.x1 - frame.x0) * x, (box.y1 - frame.y0) * y)


def trimmed_mask(alpha: np.ndarray, frame: Region) -> Mask:
    """The mask of a frame of the photo, without the empty rows and columns around the object.

    Args:
        alpha: height x width of the frame, uint8.

    Returns:
        A mask whose alpha is uint8, and 0 x 0 if nothing is above 0.
    """
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return Mask(np.zeros((0, 0), np.uint8), Region(frame.x0, frame.y0, frame.x0, frame.y0))
    region = Region(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Mask(np.ascontiguousarray(alpha[region.slices]), region.moved(frame.x0, frame.y0))


def _distance(area: np.ndarray) -> np.ndarray:
    """The distance of every pixel to an area (height x width, bool), in pixels; infinite if the area is empty."""
    if not area.any():
        return np.full(area.shape, np.inf, np.float32)
    return cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)

"""The pixels of the object in a box, among those of all salient objects."""

from collections.abc import Sequence

import cv2
import numpy as np

from tensorhop.services.embedded.necks import joined, nearer_by_way
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Mask

CORE = 0.5  # from this saliency on, a pixel surely belongs to an object
SEEN_AGAIN = 0.5  # a wider look that shows less than this of the object does not count
SURE = 0.85  # an object reaches out of a detector's box only where its mean saliency is at least this
SLACK = 0.05  # fraction of the box's sides by which objects may reach beyond it
_SAME = 0.8  # boxes with a larger intersection over union show the same object
_NESTED = 0.7  # a box with at least this fraction inside another one shows a part of that one's object
_RIVALS = 16  # neighbours that count, those with the largest overlap first
_RIM = 2  # pixels of a network's answer: an object that is as near to a view's frame is cut by it
_CLAIM_DETAIL = 320  # pixels: the longest side at which two objects are told apart
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
    inside, labels, areas, areas_inside = _cores(saliency, box)
    of_object = areas_inside >= most * areas
    of_object[0] = False
    cut = (areas_inside >= _CUT * box.area) & ~of_object
    cut[0] = False
    largest = (areas * of_object + areas_inside * cut).max(initial=0)
    of_object &= areas >= small * largest
    core = of_object[labels] | (cut[labels] & inside)
    return core, (labels > 0) & ~core


def split_grown(
    saliency: np.ndarray, box: Box, neighbours: Sequence[Box], picture: np.ndarray, most: float, small: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The cores of the whole object of which a detector's box may show a part, and the cores of everything else.

    Of a core that reaches out of the box, the object keeps all that no neck divides from the part inside. Where a
    neighbour's box holds a part of the same core, the two meet at an edge of the picture. The detector is believed
    rather than a saliency that is unsure: the ground under an object is often half salient, and would come and go.

    Args:
        saliency, box, most, small: as for `split_instances`.
        neighbours: the boxes of other objects, in pixels of `saliency`.
        picture: of the size of `saliency`, uint8.

    Returns:
        Two arrays of height x width, bool.
    """
    inside, labels, areas, areas_inside = _cores(saliency, box)
    rivals = [other for other in neighbours if other.iou(box) < _SAME and _share(other, box) < _NESTED]
    rivals = sorted(rivals, key=lambda other: -other.iou(box))[:_RIVALS]
    core = np.zeros(labels.shape, bool)
    for label in np.flatnonzero(areas_inside):
        large = areas_inside[label] >= min(_CUT * box.area, most * areas[label])
        if label == 0 or not large:
            continue
        area = labels == label
        claimed = _claimed(area, box, rivals, picture) if rivals else None
        part = joined(area, area & inside) if claimed is None else claimed
        beyond = part & ~inside
        unsure = beyond.any() and saliency[beyond].mean() < SURE
        core |= part & inside if unsure else part
    left = np.bincount(labels[core], minlength=areas.size)
    core &= (left >= small * left.max(initial=0))[labels]
    return core, (labels > 0) & ~core


def _cores(saliency: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The cores of a map, and how much of each is in a box.

    Returns:
        The pixels in the box with its slack, bool; the core of each pixel, 0 for none; and by core, how many pixels it
        has, and how many of them are in the box.
    """
    inside = within(box, size_of(saliency))
    count, labels = cv2.connectedComponents((saliency >= CORE).astype(np.uint8))
    return inside, labels, np.bincount(labels.ravel(), minlength=count), np.bincount(labels[inside], minlength=count)


def _claimed(area: np.ndarray, box: Box, rivals: Sequence[Box], picture: np.ndarray) -> np.ndarray | None:
    """The pixels of a connected area that are the box's rather than its rivals'; None if no rival has a part of it."""
    size = size_of(area)
    scale = min(1.0, _CLAIM_DETAIL / max(size))
    small = size.scaled(scale)
    here = cv2.resize(area.view(np.uint8), small, interpolation=cv2.INTER_NEAREST).view(bool)
    boxes = [to_canvas(each, Region.of(size), small) for each in (box, *rivals)]
    held = np.stack([_pixels(each, small) for each in boxes])
    alone = held.sum(axis=0) == 1
    markers = np.zeros(here.shape, np.int32)
    for index, own in enumerate(held):
        markers[here & alone & own] = index + 1
    for index, each in enumerate(boxes):  # a box inside another one has its middle
        if any(_share(each, other) >= _NESTED for other in boxes if other is not each):
            markers[here & _pixels(each.padded(-0.25), small)] = index + 1
    if not (markers == 1).any() or not (markers > 1).any():
        return None
    colours = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    beyond = (nearer_by_way(here, markers, colours) > 1).view(np.uint8)
    foreign = cv2.dilate(beyond, np.ones((3, 3), np.uint8))
    return area & (cv2.resize(foreign, size, interpolation=cv2.INTER_NEAREST) == 0)


def _share(box: Box, other: Box) -> float:
    """The fraction of a box that lies in another one."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return max(0.0, width) * max(0.0, height) / max(box.area, 1e-6)


def _pixels(box: Box, size: Size) -> np.ndarray:
    held = np.zeros((size.height, size.width), bool)
    held[box.region().intersect(Region.of(size)).slices] = True
    return held


def wider(core: np.ndarray, frame: Region, photo: Size) -> Region | None:
    """A region of the photo that shows more of an object whose core is cut by the frame; None if nothing is cut.

    Each side at which the object is cut moves out by the frame's width or height.

    Args:
        core: height x width, bool: covers the frame.
    """
    edges = (core[:, :_RIM], core[:_RIM], core[:, -_RIM:], core[-_RIM:])
    whole = Region.of(photo)
    cut = [bool(edge.any()) and own != end for edge, own, end in zip(edges, frame, whole, strict=True)]
    if not any(cut):
        return None
    x, y = frame.size
    moves = (-x, -y, x, y)
    return Region(*(own + move * far for own, move, far in zip(frame, moves, cut, strict=True))).intersect(whole)


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

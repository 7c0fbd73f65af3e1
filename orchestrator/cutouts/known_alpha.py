"""The alpha of a photo that is transparent in part: it bounds every mask, and of a cut-out it is the mask."""

from collections.abc import Sequence

import cv2
import numpy as np

from tensorhop.v1 import detect_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.images import OBJECT, is_cut_out
from tensorhop.values.results import Mask
from tensorhop.wire.messages import corners, write_box

MOST = 0.75  # of a piece of the alpha, in a box: the box holds it, and not only a part of it
REACH = 0.1  # of the longer side of what a box holds, around it: there its soft edge is looked for

WARNINGS = {
    pb.ALPHA_USE_UNSPECIFIED: [],
    pb.ALPHA_USE_BOUND: ["The photo is transparent in part: nothing beyond its own alpha is cut out."],
    pb.ALPHA_USE_MASK: ["The photo is cut out already: its own alpha was taken for the mask."],
}


def whole_object(alpha: np.ndarray, label: str) -> detect_pb2.Detection | None:
    """The object that an alpha (height x width, uint8) shows; None if it tells none from its surroundings."""
    if not is_cut_out(alpha):
        return None
    box = Box(*visible_region(alpha))
    return detect_pb2.Detection(index=0, label=label, phrase_index=0, score=1, box=write_box(box))


def alpha_masks(alpha: np.ndarray | None, objects: Sequence[detect_pb2.Detection]) -> dict[int, Mask]:
    """Masks of those objects, by their place in the list, that an alpha alone tells from their surroundings.

    Those are the objects whose boxes hold whole pieces of it. Of the others, the alpha is the bound only.

    Args:
        alpha: height x width, uint8; None if the photo is opaque.
    """
    if alpha is None or not objects or not is_cut_out(alpha):
        return {}
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha >= OBJECT).astype(np.uint8))
    masks = {place: mask_in_box(alpha, labels, stats, corners(one.box)) for place, one in enumerate(objects)}
    return {place: mask for place, mask in masks.items() if mask is not None}


def mask_in_box(alpha: np.ndarray, labels: np.ndarray, stats: np.ndarray, box: Box) -> Mask | None:
    """The part of an alpha that a box holds; None if it holds only a part of a piece, or none.

    Args:
        alpha: height x width, uint8.
        labels: the number of each pixel's piece, height x width, int32; 0 beside all pieces.
        stats: x, y, width, height and area of each piece, as OpenCV has them.
        box: in pixels.
    """
    areas = stats[:, cv2.CC_STAT_AREA]
    inside = np.bincount(labels[box.region().intersect(Region.of(size_of(alpha))).slices].ravel(), minlength=len(areas))
    inside[0] = 0
    held = inside >= MOST * areas
    held[0] = False
    if not held.any() or inside[held].sum() < MOST * inside.sum():
        return None
    if held[1:].all():
        region = visible_region(alpha)
        return Mask(np.ascontiguousarray(alpha[region.slices]), region)
    x0, y0 = stats[held, 0].min(), stats[held, 1].min()
    x1, y1 = (stats[held, 0] + stats[held, 2]).max(), (stats[held, 1] + stats[held, 3]).max()
    reach = int(REACH * max(x1 - x0, y1 - y0)) + 1
    region = Region(*map(int, (x0 - reach, y0 - reach, x1 + reach, y1 + reach))).intersect(Region.of(size_of(alpha)))
    near = labels[region.slices]
    own, others = distance(held[near]), distance((near > 0) & ~held[near])
    return Mask(np.where(own <= others, alpha[region.slices], 0).astype(np.uint8), region)


def distance(area: np.ndarray) -> np.ndarray:
    """Of each pixel to the nearest one of an area: height x width, float32."""
    if not area.any():
        return np.full(area.shape, np.inf, np.float32)
    return cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def visible_region(alpha: np.ndarray) -> Region:
    """The pixels from the first to the last that are not wholly transparent; there must be one."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    return Region(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def bounded(mask: Mask, alpha: np.ndarray | None) -> Mask:
    """A mask that is nowhere above an alpha (height x width of the photo, uint8), if there is one."""
    if alpha is None:
        return mask
    bound = alpha[mask.region.slices]
    if mask.alpha.dtype != np.uint8:
        bound = bound.astype(np.float32) / 255
    return Mask(np.minimum(mask.alpha, bound), mask.region)

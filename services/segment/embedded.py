"""Telling the pixels of what a box holds from their surroundings with the embedded network."""

from collections.abc import Sequence

import cv2
import numpy as np

from services.embedded import weights
from services.embedded.edges import refined
from services.embedded.pixels import crop, resized, square
from services.embedded.saliency import SIZE, Saliency
from tensorhop.geometry import Box, Region, Size, size_of
from tensorhop.results import Mask

_PADDING = 0.2  # of the box, around the first look
_SQUARE_PADDING = 0.1  # of the longer side, around the second, which is a square
_LARGEST = 2048  # pixels: masks with a longer side are made at this and enlarged
_CORE = 0.5  # saliency from which a pixel surely belongs to something
_HAZE, _SOLID = 0.1, 0.9  # saliency at and below the first is none, at and above the second is all
_SLACK = 0.05  # of the box: how far things are expected to reach over it
_WITHIN = 0.75  # of a thing inside the box with its slack: it is the object, and kept where it reaches further out, too
_CUT = 0.05  # of the box's area: of other things, what lies in the box is kept from this size on
_CRUMB = 0.01  # of the largest core's area: smaller ones are not kept


class EmbeddedSegmenter:
    """U2-Net-p looks at the padded box twice, once stretched and once as a square; a pixel counts as the better says.

    What one look misses (an arm, a wheel's rim) the other mostly has.
    """

    name = "embedded"
    revision = weights.revision(weights.U2NETP)
    digest = weights.digest(weights.U2NETP)
    largest_batch = 1

    def __init__(self) -> None:
        self._saliency = Saliency()

    def warm_up(self) -> None:
        self.predict([np.full((64, 64, 3), 127, np.uint8)], [Box(0.0, 0.0, 64.0, 64.0)])

    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]:
        """The mask of the object in one box of each photo.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            boxes: one for each image, in its pixels; it overlaps the image.

        Returns:
            Masks whose alpha is uint8 0 to 255, trimmed to what is above 0; 0 x 0 where nothing stands out in the box.
            Levels are fixed: nothing is stretched to the full range.
        """
        return [self._segment(image, box) for image, box in zip(images, boxes, strict=True)]

    def _segment(self, photo: np.ndarray, box: Box) -> Mask:
        size = size_of(photo)
        whole = Region.of(size)
        looks = [box.padded(_PADDING).region().intersect(whole), square(box, _SQUARE_PADDING, size)]
        frame = looks[0].union(looks[1])
        scale = min(1.0, _LARGEST / max(frame.size))
        canvas = Size(max(1, round(frame.size.width * scale)), max(1, round(frame.size.height * scale)))
        saliency = np.zeros((canvas.height, canvas.width), np.float32)
        for look in dict.fromkeys(looks):
            place = _placed(Box(*look), frame, canvas).region().intersect(Region.of(canvas))
            seen = resized(self._saliency.predict_small(crop(photo, look)), place.size)
            np.maximum(saliency[place.slices], seen, out=saliency[place.slices])

        mask = np.clip((saliency - _HAZE) / (_SOLID - _HAZE), 0, 1)
        grain = max(canvas) / max(SIZE)
        if grain > 1:
            mask = refined(mask, resized(crop(photo, frame), canvas), grain)
        alpha = np.rint(mask * 255).astype(np.uint8)
        alpha[~_belonging(saliency, alpha > 0, _placed(box, frame, canvas))] = 0
        return _trimmed(resized(alpha, frame.size), frame)


def _placed(box: Box, frame: Region, canvas: Size) -> Box:
    """A box of the photo in the pixels of a canvas that shows a frame of it."""
    x, y = canvas.width / frame.size.width, canvas.height / frame.size.height
    return Box((box.x0 - frame.x0) * x, (box.y0 - frame.y0) * y, (box.x1 - frame.x0) * x, (box.y1 - frame.y0) * y)


def _belonging(saliency: np.ndarray, some: np.ndarray, box: Box) -> np.ndarray:
    """Which pixels (of those with some alpha) are of the object in the box: bool.

    Things are told apart by their cores. Pixels around the cores go with the nearest one.
    """
    size = size_of(saliency)
    inside = np.zeros(saliency.shape, bool)
    inside[box.padded(_SLACK).region().intersect(Region.of(size)).slices] = True
    count, labels = cv2.connectedComponents((saliency >= _CORE).astype(np.uint8))
    areas = np.bincount(labels.ravel(), minlength=count)
    areas_inside = np.bincount(labels[inside], minlength=count)
    of_object = areas_inside >= _WITHIN * areas
    of_object[0] = False
    cut = (areas_inside >= _CUT * box.area) & ~of_object
    cut[0] = False
    largest = (areas * of_object + areas_inside * cut).max(initial=0)
    of_object &= areas >= _CRUMB * largest
    core = of_object[labels] | (cut[labels] & inside)
    if not core.any():
        return core
    others = (labels > 0) & ~core
    near = some & (_distance(core) <= _distance(others)) | core
    _, pieces = cv2.connectedComponents(near.astype(np.uint8))
    return near & np.isin(pieces, np.unique(pieces[core]))


def _distance(area: np.ndarray) -> np.ndarray:
    """Of every pixel to the nearest one of an area; infinite without one."""
    if not area.any():
        return np.full(area.shape, np.inf, np.float32)
    return cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def _trimmed(alpha: np.ndarray, frame: Region) -> Mask:
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return Mask(np.zeros((0, 0), np.uint8), Region(frame.x0, frame.y0, frame.x0, frame.y0))
    region = Region(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Mask(np.ascontiguousarray(alpha[region.slices]), region.moved(frame.x0, frame.y0))

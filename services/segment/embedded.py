"""Telling the pixels of what a box holds from their surroundings with the embedded network."""

from collections.abc import Sequence

import numpy as np

from tensorhop.services.embedded import weights
from tensorhop.services.embedded.edge_alignment import align_edges
from tensorhop.services.embedded.pixels import crop, resized, square
from tensorhop.services.embedded.saliency import SIZE, Saliency
from tensorhop.services.segment.instances import attached, nearer, split_instances, to_canvas, trimmed_mask
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Mask

_PADDING = 0.2  # of the box, around the first look
_SQUARE_PADDING = 0.1  # of the longer side, around the second, which is a square
_LARGEST = 2048  # pixels: masks with a longer side are made at this and enlarged
_HAZE, _SOLID = 0.1, 0.9  # saliency at and below the first is none, at and above the second is all
_MOST = 0.75  # of a thing in the box: it is the object
_CRUMB = 0.01  # of the largest core's area: smaller cores are not kept


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
            place = to_canvas(Box(*look), frame, canvas).region().intersect(Region.of(canvas))
            seen = resized(self._saliency.predict_small(crop(photo, look)), place.size)
            np.maximum(saliency[place.slices], seen, out=saliency[place.slices])

        mask = np.clip((saliency - _HAZE) / (_SOLID - _HAZE), 0, 1)
        grain = max(canvas) / max(SIZE)
        if grain > 1:
            mask = align_edges(mask, resized(crop(photo, frame), canvas), grain)
        alpha = np.rint(mask * 255).astype(np.uint8)
        alpha[~_belonging(saliency, alpha > 0, to_canvas(box, frame, canvas))] = 0
        return trimmed_mask(resized(alpha, frame.size), frame)


def _belonging(saliency: np.ndarray, some: np.ndarray, box: Box) -> np.ndarray:
    """Which pixels (of those with some alpha) are of the object in the box: bool.

    Things are told apart by their cores. Pixels around the cores go with the nearest one.
    """
    core, others = split_instances(saliency, box, _MOST, _CRUMB)
    if not core.any():
        return core
    return attached(some & nearer(core, others) | core, core)

"""Masks of the object in a box by the embedded network."""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from tensorhop.services.embedded import weights
from tensorhop.services.embedded.edge_alignment import align_edges
from tensorhop.services.embedded.pixels import crop, resized, square
from tensorhop.services.embedded.saliency import SIZE, Saliency, look_again, shows_little
from tensorhop.services.segment.holes import find_holes
from tensorhop.services.segment.instances import (
    CORE,
    SEEN_AGAIN,
    attached,
    nearer,
    split_grown,
    split_instances,
    to_canvas,
    trimmed_mask,
    wider,
)
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Mask

_PADDING = 0.2  # fraction of the box's sides that is added around it in the first view
_SQUARE_PADDING = 0.1  # fraction of the longer side that is added around the box in the second view, a square
_LARGEST = 2048  # pixels: masks with a longer side are made at this size and enlarged
_CLEAR, _OPAQUE = 0.1, 0.9  # up to the first saliency alpha is 0, from the second on it is 1
_MOST = 0.75  # a core with at least this fraction inside the box is the object's
# The second view is taken if the first has at least this many soft pixels for each salient one. Where it has fewer, the
# network is sure of what it saw, and another view hardly changes the mask: `make compare-views` has the numbers.
_UNSURE = 0.1
_SMALL = 0.01  # of the largest core's area: smaller cores are dropped


class EmbeddedSegmenter:
    """Runs U2-Net-p on a view of the padded box, stretched, and where it is unsure there on a square view, too.

    Each pixel gets the larger saliency. What one view misses (an arm, a wheel's rim), the other one mostly has.
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
            Masks with uint8 alpha, 0 to 255, trimmed to the pixels above 0; 0 x 0 if nothing stands out in the box.
            Saliency becomes alpha by fixed levels; it is not stretched to the full range.
        """
        return [self._segment(image, box) for image, box in zip(images, boxes, strict=True)]

    def predict_grown(
        self, images: Sequence[np.ndarray], boxes: Sequence[Box], neighbours: Sequence[Sequence[Box]]
    ) -> list[Mask]:
        """The mask of the whole object of which one box of each photo may show a part.

        Args:
            images, boxes: as for `predict`.
            neighbours: for each box, those of other objects in its photo.

        Returns:
            As `predict` does.
        """
        return [self._segment(*each) for each in zip(images, boxes, neighbours, strict=True)]

    def _segment(self, photo: np.ndarray, box: Box, neighbours: Sequence[Box] | None = None) -> Mask:
        """The mask of the object in a box; of the whole object if neighbours are given, however many."""
        frame, saliency = together(self._looks(photo, box, neighbours))
        core, others = cores(photo, box, neighbours, frame, saliency)
        canvas = size_of(saliency)
        picture = resized(crop(photo, frame), canvas)
        saliency = saliency * (1 - find_holes(core, saliency, picture))
        mask = np.clip((saliency - _CLEAR) / (_OPAQUE - _CLEAR), 0, 1)
        upscaling = max(canvas) / max(SIZE)
        if upscaling > 1:
            mask = align_edges(mask, picture, upscaling)
        alpha = np.rint(mask * 255).astype(np.uint8)
        alpha[~_object_pixels(core, others, alpha > 0)] = 0
        return trimmed_mask(resized(alpha, frame.size), frame)

    def _looks(self, photo: np.ndarray, box: Box, neighbours: Sequence[Box] | None) -> dict[Region, np.ndarray]:
        """The network's answers for views of a box, which together show the object: two runs at most.

        The second run goes where it shows most. In a detector's box: more of the photo if the first view cuts the
        object, or a border if it shows little. In any box: a square view if the network is unsure.
        """
        size = size_of(photo)
        view = box.padded(_PADDING).region().intersect(Region.of(size))
        first = self._saliency.predict_small(crop(photo, view))
        if neighbours is not None:
            core, _ = cores(photo, box, neighbours, view, first)
            if more := wider(core, view, size):
                again = self._saliency.predict_small(crop(photo, more))
                wide, _ = cores(photo, box, neighbours, more, again)
                return {more: again} if pixels(wide, more) >= SEEN_AGAIN * pixels(core, view) else {view: first}
            if shows_little(first):
                return {view: look_again(self._saliency, crop(photo, view), first)}
        if is_unsure(first) and (second := square(box, _SQUARE_PADDING, size)) != view:
            return {view: first, second: self._saliency.predict_small(crop(photo, second))}
        return {view: first}


def cores(
    photo: np.ndarray, box: Box, neighbours: Sequence[Box] | None, frame: Region, saliency: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The cores of the object in a box, and of everything else, in a frame of a photo.

    Args:
        neighbours: the boxes of other objects if the box may show a part of its object, however many.
        saliency: of the frame, height x width of any size, float32.
    """
    canvas = size_of(saliency)
    here = to_canvas(box, frame, canvas)
    if neighbours is None:
        return split_instances(saliency, here, _MOST, _SMALL)
    picture = resized(crop(photo, frame), canvas) if neighbours else np.empty((0, 0, 3), np.uint8)
    return split_grown(
        saliency, here, [to_canvas(other, frame, canvas) for other in neighbours], picture, _MOST, _SMALL
    )


def pixels(area: np.ndarray, frame: Region) -> float:
    """How many pixels of the photo an area (height x width of any size, bool) of a frame covers."""
    return float(area.mean()) * frame.size.width * frame.size.height


def together(looks: Mapping[Region, np.ndarray]) -> tuple[Region, np.ndarray]:
    """The largest saliency of some looks at a photo, on a canvas with the resolution of the photo, up to _LARGEST.

    Returns:
        The smallest region with all views, and height x width, float32.
    """
    frame = reduce(Region.union, looks)
    scale = min(1.0, _LARGEST / max(frame.size))
    canvas = frame.size.scaled(scale)
    saliency = np.zeros((canvas.height, canvas.width), np.float32)
    for view, look in looks.items():
        place = to_canvas(Box(*view), frame, canvas).region().intersect(Region.of(canvas))
        np.maximum(saliency[place.slices], resized(look, place.size), out=saliency[place.slices])
    return frame, saliency


def is_unsure(saliency: np.ndarray) -> bool:
    """Whether much of what a view shows is neither salient nor not, or nothing is salient.

    Args:
        saliency: height x width, float32, 0 to 1.
    """
    soft = np.count_nonzero((saliency > _CLEAR) & (saliency < _OPAQUE))
    return bool(soft >= _UNSURE * np.count_nonzero(saliency >= CORE))


def _object_pixels(core: np.ndarray, others: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The pixels of an object among those with alpha above 0 (`visible`). All arrays: height x width, bool.

    Objects are told apart by their cores. The pixels around the cores belong to the nearest one.
    """
    if not core.any():
        return core
    return attached(visible & nearer(core, others) | core, core)

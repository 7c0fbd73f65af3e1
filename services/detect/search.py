"""The search for candidate boxes: where in a photo the objects that phrases name can be."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import cv2
import numpy as np

from tensorhop.services.detect.suppression import inside
from tensorhop.services.embedded.classifier import Classifier
from tensorhop.services.embedded.components import Component, component, components
from tensorhop.services.embedded.pixels import crop, resized, square
from tensorhop.services.embedded.saliency import SALIENT, SIZE, Saliency
from tensorhop.services.embedded.vocabulary import Concept, Vocabulary
from tensorhop.values.geometry import Box, size_of

_FINE, _COARSE = 448, 224  # pixels: the sides of the maps of evidence in which regions are found and parts are checked
_EVIDENCE = 0.15  # the least probability of a place in a region of evidence
_FLANK = 0.4  # the same as a fraction of the strongest evidence for the phrase
_REGIONS = 3  # regions of evidence for each phrase
_VIEWS = 4  # closer views of a photo: each costs a run of the saliency network
_PADDING = 0.3  # fraction of a region's sides that is added around it in a closer view
# A salient object explains a region of evidence, and no closer view is needed, if the object holds
_EXPLAINED = 0.6  # ... this fraction of the region's evidence on all salient objects,
_INSIDE = 0.2  # ... and this fraction of all its evidence (evidence reaches beyond its object)
_OTHER = 0.5  # a place shows something else if its probability is at least this ...
_TWICE = 2.0  # ... and this many times that of the phrase
_LARGER = 1.5  # a salient object around a box has the box as a part if its area is this many times the box's
_HELD = 0.3  # from this mean evidence in the coarse map on, a part's score counts in full
_SHARED = 0.03  # of a salient object's area: if this much of it shows something else, it may be two objects that touch


class Search:
    """Candidates for the objects that phrases name in one photo.

    Args:
        photo: height x width x 3, uint8, sRGB.
        salient: the salient objects of the whole photo, on a map of saliency's SIZE.
    """

    def __init__(
        self, photo: np.ndarray, salient: list[Component], saliency: Saliency, classifier: Classifier, words: Vocabulary
    ) -> None:
        self._photo = photo
        self._whole = Box(0.0, 0.0, float(photo.shape[1]), float(photo.shape[0]))
        self._salient = salient
        self._saliency = saliency
        self._classifier = classifier
        self._evidence = self._map(_FINE)
        self._words = words
        self._views = _VIEWS  # that are left

    def boxes(self, concepts: Sequence[Concept]) -> list[Box]:
        """The boxes, without duplicates, that may hold an object of one of the concepts."""
        maps = [resized(concept.probability(self._evidence), SIZE) for concept in concepts]
        split: dict[int, set[str]] = {}  # for each salient object, the concepts of its parts
        found: list[Box] = []
        for concept, own in zip(concepts, maps, strict=True):
            asked = [map_ for other, map_ in zip(concepts, maps, strict=True) if not other.overlaps(concept)]
            rival = resized(self._words.rival(concept, self._evidence), SIZE)
            level = max(_EVIDENCE, _FLANK * float(own.max()))
            for region in components(own, level, self._whole)[:_REGIONS]:
                index = self._explaining(region, own)
                if index is not None:
                    thing = self._salient[index]
                    found += _part(thing, region, own, [rival], self._whole)
                    if pieces := _part(thing, region, own, asked, self._whole):
                        split.setdefault(index, set()).add(concept.word)
                        found += pieces
                elif self._views:
                    self._views -= 1
                    found += self._view(region, own, [rival, *asked])
        whole_things = [thing.box for index, thing in enumerate(self._salient) if len(split.get(index, ())) < 2]
        return list(dict.fromkeys([*whole_things, *found]))

    def holds(self, concept: Concept, boxes: Sequence[Box]) -> np.ndarray:
        """The factors by which to multiply the boxes' scores for a concept.

        A part of a salient object can look like something else when it is seen alone: a horse's legs look like a dog.
        Its score counts in full only if the coarse map, which sees its surroundings too, still shows the concept.

        Returns:
            Shape boxes, float32, 0 to 1.
        """
        parts = [
            index
            for index, box in enumerate(boxes)
            if any(thing.box.area > _LARGER * box.area and inside(box, thing.box) for thing in self._salient)
        ]
        factors = np.ones(len(boxes), np.float32)
        if parts:
            coarse = resized(concept.probability(self._coarse), SIZE)
            for index in parts:
                factors[index] = min(1.0, float(self._shown(coarse, boxes[index]).mean()) / _HELD) ** 0.5
        return factors

    @cached_property
    def _coarse(self) -> np.ndarray:
        return self._map(_COARSE)

    def _map(self, side: int) -> np.ndarray:
        """The evidence for each class: rows x columns x 1000."""
        return np.ascontiguousarray(self._classifier.evidence(self._photo, side).transpose(1, 2, 0))

    def _explaining(self, region: Component, own: np.ndarray) -> int | None:
        """The index of the salient object that holds most of a region's evidence; None if there is no such object."""
        standing_out = [float(own[region.area & thing.area].sum()) for thing in self._salient]
        if not standing_out or sum(standing_out) == 0:
            return None
        best = int(np.argmax(standing_out))
        much = standing_out[best] >= _INSIDE * float(own[region.area].sum())
        return best if much and standing_out[best] >= _EXPLAINED * sum(standing_out) else None

    def _view(self, region: Component, own: np.ndarray, others: Iterable[np.ndarray]) -> list[Box]:
        """The boxes in a closer view of a region: what stands out there, or the region itself if nothing does."""
        pixels = square(region.box, _PADDING, size_of(self._photo))
        frame = Box(*map(float, pixels))
        saliency = self._saliency.predict_small(crop(self._photo, pixels))
        near = self._shown(own, frame)
        place = self._shown(region.area.astype(np.float32), frame) > 0.5
        things = [thing for thing in components(saliency, SALIENT, frame) if (thing.area & place).any()]
        if not things:
            return [region.box]
        thing = max(things, key=lambda one: float((near * saliency)[one.area].sum()))
        there = component(place, near, frame)
        return [thing.box, *_part(thing, there, near, [self._shown(other, frame) for other in others], frame)]

    def _shown(self, values: np.ndarray, frame: Box) -> np.ndarray:
        """The part that a frame covers of a map of the whole photo, at saliency's SIZE."""
        x, y = values.shape[1] / self._whole.width, values.shape[0] / self._whole.height
        to_map = np.array(
            [[frame.width * x / SIZE.width, 0, frame.x0 * x], [0, frame.height * y / SIZE.height, frame.y0 * y]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(values, to_map, SIZE, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _part(thing: Component, region: Component, own: np.ndarray, others: Sequence[np.ndarray], frame: Box) -> list[Box]:
    """The box of a part of an object: the pixels nearer to a region of evidence than to pixels of something else.

    Empty if no pixels of the object show something else.
    """
    if not others:
        return []
    other = np.maximum.reduce(others)
    foreign = thing.area & (other >= _OTHER) & (other > _TWICE * own)
    here = thing.area & region.area
    if not here.any() or np.count_nonzero(foreign) < _SHARED * np.count_nonzero(thing.area):
        return []
    return [component(thing.area & (_distance(here) <= _distance(foreign)), own, frame).box]


def _distance(area: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)

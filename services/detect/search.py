"""Where in a photo to look for what was asked."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from tensorhop.services.detect.suppression import inside
from tensorhop.services.embedded.classifier import Classifier
from tensorhop.services.embedded.components import Component, component, components
from tensorhop.services.embedded.pixels import crop, resized, square
from tensorhop.services.embedded.saliency import SALIENT, SIZE, Saliency
from tensorhop.services.embedded.vocabulary import Concept, Vocabulary
from tensorhop.values.geometry import Box, size_of

_FINE, _COARSE = 448, 224  # the sides at which the classifier looks for evidence, and for whether a part holds
_EVIDENCE = 0.15  # the least probability at a place that makes it worth a look
_FLANK = 0.4  # of the strongest evidence for a phrase: how far its regions reach
_REGIONS = 3  # of evidence, a phrase
_LOOKS = 4  # closer looks, a photo: each costs a run of the saliency network
_PADDING = 0.3  # of a region of evidence, around it in a closer look
_EXPLAINED = 0.6  # of a region's evidence on salient objects falls on one of them: that is the one, no closer look, ...
_INSIDE = 0.2  # ... if so much of all its evidence does (evidence reaches beyond what it is about)
_OTHER = 0.5  # a place shows something else from this probability on ...
_TWICE = 2.0  # ... if that is so much likelier than what is looked for
_LARGER = 1.5  # times a box's area: a salient object around it that is so much larger has the box as a part
_HELD = 0.3  # the mean evidence in a part, at a coarse look, from which on it counts in full
_SHARED = 0.03  # of a thing's area that shows something else: it may be two that touch


class Search:
    """Candidates for the objects that phrases name in one photo.

    Args:
        photo: height x width x 3, uint8.
        salient: what stands out in the whole photo, on a map of saliency's SIZE.
    """

    def __init__(
        self, photo: np.ndarray, salient: list[Component], saliency: Saliency, classifier: Classifier, words: Vocabulary
    ) -> None:
        self._photo = photo
        self._whole = Box(0.0, 0.0, float(photo.shape[1]), float(photo.shape[0]))
        self._salient = salient
        self._saliency = saliency
        self._evidence, self._coarse = (
            np.ascontiguousarray(classifier.evidence(photo, side).transpose(1, 2, 0)) for side in (_FINE, _COARSE)
        )
        self._words = words
        self._looks = _LOOKS

    def boxes(self, concepts: Sequence[Concept]) -> list[Box]:
        """Boxes that may hold an object of one of the concepts, each once."""
        maps = [resized(concept.probability(self._evidence), SIZE) for concept in concepts]
        split: dict[int, set[str]] = {}  # salient objects, and of which concepts they have parts
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
                elif self._looks:
                    self._looks -= 1
                    found += self._look(region, own, [rival, *asked])
        whole_things = [thing.box for index, thing in enumerate(self._salient) if len(split.get(index, ())) < 2]
        return list(dict.fromkeys([*whole_things, *found]))

    def holds(self, concept: Concept, boxes: Sequence[Box]) -> np.ndarray:
        """What to multiply the boxes' scores for a concept with, 0 to 1.

        A part of a salient object can look like something else when it is seen alone, as a horse's legs like a dog. It
        counts in full only if a coarser look, which sees what is around it, still takes it for that.
        """
        coarse = resized(concept.probability(self._coarse), SIZE)
        factors = np.ones(len(boxes), np.float32)
        for index, box in enumerate(boxes):
            if any(thing.box.area > _LARGER * box.area and inside(box, thing.box) for thing in self._salient):
                factors[index] = min(1.0, float(self._shown(coarse, box).mean()) / _HELD) ** 0.5
        return factors

    def _explaining(self, region: Component, own: np.ndarray) -> int | None:
        """Which salient object holds most of a region's evidence, if that is so."""
        standing_out = [float(own[region.area & thing.area].sum()) for thing in self._salient]
        if not standing_out or sum(standing_out) == 0:
            return None
        best = int(np.argmax(standing_out))
        much = standing_out[best] >= _INSIDE * float(own[region.area].sum())
        return best if much and standing_out[best] >= _EXPLAINED * sum(standing_out) else None

    def _look(self, region: Component, own: np.ndarray, others: Iterable[np.ndarray]) -> list[Box]:
        """A closer look at a region: what stands out there, or the region itself if nothing does."""
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
        """The part of a map of the whole photo that a frame covers, at saliency's SIZE."""
        x, y = values.shape[1] / self._whole.width, values.shape[0] / self._whole.height
        to_map = np.array(
            [[frame.width * x / SIZE.width, 0, frame.x0 * x], [0, frame.height * y / SIZE.height, frame.y0 * y]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(values, to_map, SIZE, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _part(thing: Component, region: Component, own: np.ndarray, others: Sequence[np.ndarray], frame: Box) -> list[Box]:
    """Where a thing is partly something else: the part of it that is nearer to a region of evidence than to that."""
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

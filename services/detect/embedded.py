"""Detection of the objects that phrases name by the embedded networks."""

from collections.abc import Sequence

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.services.detect.search import Search
from tensorhop.services.detect.suppression import Candidate, suppressed
from tensorhop.services.embedded import vocabulary, weights
from tensorhop.services.embedded.classifier import CLASSES, Classifier
from tensorhop.services.embedded.components import components
from tensorhop.services.embedded.pixels import float32
from tensorhop.services.embedded.saliency import SALIENT, Saliency, look_at
from tensorhop.services.embedded.vocabulary import Concept
from tensorhop.values.geometry import Box
from tensorhop.values.phrases import check_any
from tensorhop.values.results import Detection

SCORE_THRESHOLD = 0.12
IOU_THRESHOLD = 0.5
UNKNOWN_SCORE = 0.2  # the highest score under a phrase outside the vocabulary; the lowest is SCORE_THRESHOLD


class EmbeddedDetector:
    """Searches for phrases among salient objects and in places where the classifier sees evidence of a phrase.

    Candidates are the salient objects of the whole photo, and those in closer views of places with evidence of a phrase
    outside of any salient object (see Search). The classifier rates each candidate, and the candidate goes to the
    phrase that fits it best.

    A score is p * p / (p + rival): p is the phrase's probability, and rival is that of the likeliest other word. The
    score is about p if nothing else is likely, and low if something else is.
    """

    name = "embedded"
    revision = weights.revision(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    digest = weights.digest(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    largest_batch = 1

    def __init__(self) -> None:
        self._classifier = Classifier()  # the network that describe does not begin with, for loading side by side
        self._saliency = Saliency()
        self._words = vocabulary.load()

    def warm_up(self) -> None:
        self.predict([np.full((64, 64, 3), 127, np.uint8)], [["cat"]])

    def parts(self, phrase: str) -> list[str]:
        """The phrases that a phrase lists, as far as the vocabulary tells: "cup" and "spoon" for "cup and spoon"."""
        return self._words.parts(phrase)

    def predict(
        self,
        images: Sequence[np.ndarray],
        phrases: Sequence[Sequence[str]],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[tuple[list[Detection], list[str]]]:
        """Find the objects that the phrases name.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            phrases: for each image what to look for, one object a phrase.
            score_threshold: the least score to report, 0 to 1; SCORE_THRESHOLD if not given.
            iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1; IOU_THRESHOLD if not given.

        Returns:
            For each image its detections, best first, and warnings. For a phrase outside the vocabulary, the detections
            are the salient objects, at scores from SCORE_THRESHOLD to UNKNOWN_SCORE, and they and a warning say so.

        Raises:
            InvalidInput: there is no phrase, or one is empty.
        """
        score_threshold = SCORE_THRESHOLD if score_threshold is None else score_threshold
        iou_threshold = IOU_THRESHOLD if iou_threshold is None else iou_threshold
        return [
            self._detect(image, wanted, score_threshold, iou_threshold)
            for image, wanted in zip(images, phrases, strict=True)
        ]

    def _detect(
        self, photo: np.ndarray, phrases: Sequence[str], score_threshold: float, iou_threshold: float
    ) -> tuple[list[Detection], list[str]]:
        _check(phrases)
        whole = Box(0.0, 0.0, float(photo.shape[1]), float(photo.shape[0]))
        salient = components(look_at(self._saliency, photo), SALIENT, whole)
        concepts = {index: self._words.find(phrase) for index, phrase in enumerate(phrases)}
        known = {index: concept for index, concept in concepts.items() if concept}
        unknown = [index for index in concepts if index not in known]

        candidates = []
        if known:
            search = Search(photo, salient, self._saliency, self._classifier, self._words)
            boxes = search.boxes(list(known.values()))
            probabilities = self._classifier.objects(photo, boxes)
            scores = np.stack([self._scores(one, probabilities) * search.holds(one, boxes) for one in known.values()])
            for box, row in zip(boxes, scores.T, strict=True):
                best = int(row.argmax())
                candidates.append(Candidate(box, list(known)[best], float(row[best])))
        if unknown:
            for thing in salient:
                strength = thing.mass * thing.area.size / np.count_nonzero(thing.area)  # its mean saliency
                score = SCORE_THRESHOLD + (UNKNOWN_SCORE - SCORE_THRESHOLD) * strength
                candidates.append(Candidate(thing.box, unknown[0], score))

        kept = suppressed([one for one in candidates if one.score >= score_threshold], iou_threshold)
        detections = [
            Detection(
                rank,
                phrases[one.phrase],
                one.phrase,
                float32(one.score),
                Box(*map(float32, one.box)),
                unknown_phrase=one.phrase in unknown,
            )
            for rank, one in enumerate(kept)
        ]
        return detections, [_warning(phrases[index]) for index in unknown]

    def _scores(self, concept: Concept, probabilities: np.ndarray) -> np.ndarray:
        """The score of each box for a concept, from boxes x 1000 probabilities; that of chance counts as 0."""
        chance = len(concept.classes) / CLASSES
        p = np.clip((concept.probability(probabilities) - chance) / (1 - chance), 0, 1)
        return p * p / np.maximum(p + self._words.rival(concept, probabilities), 1e-6)


def _check(phrases: Sequence[str]) -> None:
    check_any(phrases)
    for index, phrase in enumerate(phrases):
        if not phrase.strip():
            raise InvalidInput(f"phrases[{index}]", "is empty; it must name an object")


def _warning(phrase: str) -> str:
    return f"The embedded model does not know {phrase!r}; it answers with the objects that stand out."

"""Naming the central object of a photo with the embedded networks."""

import math
from collections.abc import Sequence

import numpy as np

from services.embedded import vocabulary, weights
from services.embedded.classifier import Classifier
from services.embedded.components import components
from services.embedded.pixels import float32
from services.embedded.saliency import SALIENT, Saliency
from tensorhop.geometry import Box, Region, size_of
from tensorhop.results import Description

CONFIDENCE = 0.5  # the least probability at which a name is said
WORN_CONFIDENCE = 0.7  # of a name for what people wear or do: a photo of a hat mostly shows a person
UNSURE = "object"  # said below it

_FAINT = 0.1  # where no pixel's saliency reaches this there is no object to name
_REACH = 0.35  # of the photo's size: so far from the middle an object counts for 1/e of what it would count there


class EmbeddedDescriber:
    """U2-Net-p finds the central object, EfficientNet-Lite0 names it in everyday words.

    Where the network is torn between classes that share a wider word, the wider word is said: of all words whose
    probability reaches CONFIDENCE the one that covers the fewest classes, which says most (hedging, Deng et al. 2012,
    "Hedging your bets: optimizing accuracy-specificity trade-offs in large scale visual recognition").
    """

    name = "embedded"
    revision = weights.revision(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    digest = weights.digest(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    largest_batch = 1

    def __init__(self) -> None:
        self._saliency = Saliency()
        self._classifier = Classifier()
        words = vocabulary.load()
        person = words.group("person")
        self._concepts = [
            (concept, WORN_CONFIDENCE if concept < person else CONFIDENCE)
            for concept in words.concepts
            if concept.sayable
        ]

    def warm_up(self) -> None:
        self.predict([np.full((64, 64, 3), 127, np.uint8)])

    def predict(self, images: Sequence[np.ndarray]) -> list[Description]:
        """Names the central object of each photo.

        Args:
            images: height x width x 3 each, uint8, sRGB.

        Returns:
            A name as "coffee mug", or "object" where no name is likely enough or there is no object; the score is the
            name's probability, or of "object" that of the likeliest name. The region is the whole photo where nothing
            stands out in it.
        """
        return [self._describe(image) for image in images]

    def _describe(self, image: np.ndarray) -> Description:
        whole = Box(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
        saliency = self._saliency.predict_small(image)
        found = components(saliency, SALIENT, whole)
        central = max(found, key=lambda thing: thing.mass * _nearness(thing.box, whole), default=None)
        box = central.box if central else whole
        text, probability = self.name_of(self._classifier.objects(image, [box])[0])
        if saliency.max() < _FAINT:
            text, probability = UNSURE, min(probability, float(saliency.max()))
        return Description(text, float32(probability), box.region().intersect(Region.of(size_of(image))))

    def name_of(self, probabilities: np.ndarray) -> tuple[str, float]:
        """The word for an object with these probabilities of the 1000 classes, and the word's probability."""
        said = [(c, min(1.0, float(c.probability(probabilities))), least) for c, least in self._concepts]
        sure = [(len(concept.classes), -p, concept.word) for concept, p, least in said if p >= least]
        if not sure:
            return UNSURE, max(p for _, p, _ in said)
        _, negative, word = min(sure)
        return word, -negative


def _nearness(box: Box, whole: Box) -> float:
    x = (box.x0 + box.x1) / 2 / whole.width - 0.5
    y = (box.y0 + box.y1) / 2 / whole.height - 0.5
    return math.exp(-(x * x + y * y) / _REACH**2)

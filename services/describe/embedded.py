"""Names of the central object of a photo by the embedded networks."""

from collections.abc import Sequence

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.services.embedded import vocabulary, weights
from tensorhop.services.embedded.central import Central, CentralObject
from tensorhop.services.embedded.classifier import Classifier
from tensorhop.services.embedded.pixels import float32
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Description

CONFIDENCE = 0.5  # the least probability at which a name is given
WORN_CONFIDENCE = 0.7  # the same for what people wear or do: a photo of a hat mostly shows a person
UNSURE = "object"  # given if no name is probable enough

_FAINT = 0.1  # if no pixel's saliency reaches this, there is no object to name


class EmbeddedDescriber:
    """U2-Net-p finds the central object, EfficientNet-Lite0 names it in everyday words.

    If the network is unsure between classes that share a wider word, the wider word is given. Of all words whose
    probability reaches CONFIDENCE, it is the one that covers the fewest classes, which is the most specific. This is
    hedging (Deng et al. 2012, "Hedging your bets: optimizing accuracy-specificity trade-offs in large scale visual
    recognition").
    """

    name = "embedded"
    revision = weights.revision(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    digest = weights.digest(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    largest_batch = 1

    def __init__(self) -> None:
        self._central = CentralObject()
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

    def predict(
        self,
        images: Sequence[np.ndarray],
        options: DescribeOptions = DescribeOptions(),  # noqa: B008  (frozen)
    ) -> list[Description]:
        """Name the central object of each photo, or what the whole photo shows.

        Args:
            images: height x width x 3 each, uint8, sRGB.

        Returns:
            A description for each photo. Its text is a name such as "coffee mug"; "object" if no name is probable
            enough, or if there is no object. Its score is the name's probability; for "object", that of the likeliest
            name. Its region is the whole photo if nothing stands out.

        Raises:
            InvalidInput: the options have a prompt, or settings of generation.
        """
        if options.prompt:
            raise InvalidInput(
                "options.prompt", "is given, but the embedded model takes no prompt; serve describe with another model"
            )
        if options.max_new_tokens is not None or options.num_beams is not None:
            raise InvalidInput(
                "options.generation",
                "is given, but the embedded model generates no text; serve describe with another model",
            )
        return [self._describe(image, options.look) for image in images]

    def _describe(self, image: np.ndarray, look: str) -> Description:
        whole = Box(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
        central = self._central.find(image) if look == "central_object" else Central(whole, 1.0)
        text, probability = self.name_of(self._classifier.objects(image, [central.box])[0])
        if central.strength < _FAINT:
            text, probability = UNSURE, min(probability, central.strength)
        return Description(text, float32(probability), central.box.region().intersect(Region.of(size_of(image))))

    def name_of(self, probabilities: np.ndarray) -> tuple[str, float]:
        """The word for an object, and the word's probability.

        Args:
            probabilities: shape 1000, float32: the object's probability of each class.
        """
        said = [(c, min(1.0, float(c.probability(probabilities))), least) for c, least in self._concepts]
        sure = [(len(concept.classes), -p, concept.word) for concept, p, least in said if p >= least]
        if not sure:
            return UNSURE, max(p for _, p, _ in said)
        _, negative, word = min(sure)
        return word, -negative

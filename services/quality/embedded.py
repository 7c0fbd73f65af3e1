"""Quality by BRISQUE, and how well the halves of a pair match."""

from collections.abc import Sequence

import cv2
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.services.embedded import weights
from tensorhop.services.quality.brisque import WORST, Brisque
from tensorhop.services.quality.matching import match
from tensorhop.services.quality.result import QualityResult
from tensorhop.settings import current_settings


class EmbeddedScorer:
    """BRISQUE, turned round: 1 for what it calls natural, 0 for what it calls most distorted.

    The score of a pair is the lower one of its halves. Over the whole pair a good half would hide a bad one, and both
    are needed. `scores` has "left", "right" and "match", which says how well the halves match and is not in the score.
    """

    name = "embedded"
    revision = weights.revision(weights.BRISQUE_LIVE)
    digest = weights.digest(weights.BRISQUE_LIVE)
    largest_batch = 1

    def __init__(self) -> None:
        """Raises InvalidInput: there is a prompt, which only chat models take."""
        if current_settings().quality_prompt:
            raise InvalidInput(
                "--quality-prompt", "is given, but the embedded model of quality takes no prompt; name another --model"
            )
        self._brisque = Brisque()

    def warm_up(self) -> None:
        self.predict([np.zeros((64, 64, 3), np.uint8)], pairs=True)

    def predict(self, images: Sequence[np.ndarray], pairs: bool) -> list[QualityResult]:
        """The quality of each picture.

        Args:
            images: uint8, height x width x 3, sRGB; both sides at least brisque.LEAST_SIDE, of a half too.
            pairs: whether each is a pair, its halves beside each other.
        """
        return [self._of_pair(image) if pairs else QualityResult(self._score(_luma(image))) for image in images]

    def _of_pair(self, image: np.ndarray) -> QualityResult:
        luma = _luma(image)
        middle = luma.shape[1] // 2
        left, right = luma[:, :middle], luma[:, middle:]
        scores = {"left": self._score(left), "right": self._score(right), "match": match(left, right)}
        return QualityResult(min(scores["left"], scores["right"]), scores)

    def _score(self, luma: np.ndarray) -> float:
        return 1 - self._brisque.distortion(luma) / WORST


def _luma(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)

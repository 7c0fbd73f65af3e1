"""QualityService: one score or one fault for each image, sent as soon as it is done."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.errors import InvalidInput, fault_of
from tensorhop.models.model import Model
from tensorhop.rpc.batching import Batcher
from tensorhop.services.quality.result import QualityResult
from tensorhop.v1 import quality_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import image_readers
from tensorhop.wire.messages import write_model
from tensorhop.wire.payloads import Payloads

LEAST_SIDE = 16  # pixels of a picture, or of a half of a pair


class Scorer(Model, Protocol):
    """A model that scores pictures, and pairs of views beside each other."""

    def predict(self, images: Sequence[np.ndarray], pairs: bool) -> list[QualityResult]:
        """The quality of each picture.

        Args:
            images: uint8, height x width x 3, sRGB; of a picture or of a half each side is at least LEAST_SIDE.
            pairs: whether each is a pair: its left half beside its right one, both of the same width.
        """


Item = tuple[int, Callable[[], np.ndarray]]  # an image's index in its request, and what reads it


class QualityServicer:
    def __init__(self, model: Scorer) -> None:
        self.model = model
        self.batcher = Batcher("quality", self._predict, model.largest_batch)

    def Score(
        self, packet: Packet[pb.ScoreRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.ScoreResponse]]:
        request, payloads = packet
        items = list(enumerate(image_readers(request.images, payloads)))
        model = write_model(self.model)
        for index, outcome in self.batcher.each(items, request.pairs, context.add_callback):
            if isinstance(outcome, QualityResult):
                response = pb.ScoreResponse(index=index, quality=write_quality(outcome), model=model)
            else:  # a fault of one image does not fail the others
                response = pb.ScoreResponse(index=index, fault=fault_of(outcome, "quality"), model=model)
            yield Packet(response, Payloads())

    def _predict(self, items: Sequence[Item], pairs: bool) -> list[QualityResult]:
        images = [read() for _, read in items]
        for (index, _), image in zip(items, images, strict=True):
            check_scorable(image, pairs, f"images[{index}]")
        return self.model.predict(images, pairs)


def check_scorable(image: np.ndarray, pairs: bool, field: str) -> None:
    """Raises InvalidInput: the image is too small, or no pair."""
    height, width = image.shape[:2]
    if pairs and width % 2:
        raise InvalidInput(field, f"is {width} x {height} pixels; the width of a pair must be even")
    if min(height, width // 2 if pairs else width) < LEAST_SIDE:
        least = f"{2 * LEAST_SIDE if pairs else LEAST_SIDE} x {LEAST_SIDE}"
        raise InvalidInput(field, f"is {width} x {height} pixels; at least {least} are needed")


def write_quality(result: QualityResult) -> pb.Quality:
    return pb.Quality(scored=result.score is not None, score=result.score or 0, text=result.text, scores=result.scores)

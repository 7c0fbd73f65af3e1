"""DetectService: message in, call the model, message out."""

from collections.abc import Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.models.model import Model
from tensorhop.rpc.batching import Batcher
from tensorhop.v1 import detect_pb2 as pb
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.results import Detection
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_detect, read_phrases, write_detection, write_model
from tensorhop.wire.payloads import Payloads

Key = tuple[DetectOptions, tuple[int, ...]]  # the choices, and the photo's shape


class Detector(Model, Protocol):
    """A model that finds the objects that phrases name."""

    def predict(
        self,
        images: Sequence[np.ndarray],
        phrases: Sequence[Sequence[str]],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[tuple[list[Detection], list[str]]]:
        """The detections in each photo, best first, and warnings.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            phrases: for each image what to look for, one object a phrase.
            score_threshold: the least score to report, 0 to 1; the model's own if not given.
            iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1; the model's own if not
                given.

        Raises:
            InvalidInput: there is no phrase, or the model cannot read one.
        """


class DetectServicer:
    def __init__(self, model: Detector) -> None:
        self.model = model
        self.batcher = Batcher("detect", self._predict, model.largest_batch)

    def Detect(self, packet: Packet[pb.DetectRequest], context: grpc.ServicerContext) -> Packet[pb.DetectResponse]:
        request, payloads = packet
        phrases = read_phrases(request.phrases)
        if not phrases:
            raise InvalidInput("phrases", "is empty; name at least one object to look for")
        image = read_image(request.image, payloads)
        options = read_detect(request.options)
        # Photos of one size share a batch: padding one to another's size would change its boxes.
        key = (options, image.shape)
        detections, warnings = self.batcher.one((image, phrases), key, context.add_callback)
        response = pb.DetectResponse(
            detections=map(write_detection, detections), warnings=warnings, model=write_model(self.model)
        )
        return Packet(response, Payloads())

    def _predict(
        self, items: Sequence[tuple[np.ndarray, list[str]]], key: Key
    ) -> list[tuple[list[Detection], list[str]]]:
        images, phrases = zip(*items, strict=True)
        return self.model.predict(images, phrases, key[0].score_threshold, key[0].iou_threshold)

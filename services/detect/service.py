"""DetectService: message in, call the model, message out."""

from collections.abc import Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.batching import Batcher
from tensorhop.errors import InvalidInput
from tensorhop.image import read_image
from tensorhop.messages import Model, read_fraction, read_phrases, write_detection, write_model
from tensorhop.payloads import Payloads
from tensorhop.results import Detection
from tensorhop.server import Service
from tensorhop.v1 import detect_pb2 as pb
from tensorhop.v1.fault_pb2 import STEP_DETECT
from tensorhop.wire import Packet

Key = tuple[tuple[float | None, ...], tuple[int, ...]]  # thresholds, and the photo's shape


class Detector(Model, Protocol):
    """Finds the objects that phrases name; images are height x width x 3, uint8, sRGB."""

    def predict(
        self,
        images: Sequence[np.ndarray],
        phrases: Sequence[Sequence[str]],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[tuple[list[Detection], list[str]]]: ...


class DetectServicer:
    def __init__(self, model: Detector) -> None:
        self.model = model
        self.batcher = Batcher("detect", self._predict, model.largest_batch)

    def Detect(self, packet: Packet[pb.DetectRequest], context: grpc.ServicerContext) -> Packet:
        request, payloads = packet
        phrases = read_phrases(request.phrases)
        if not phrases:
            raise InvalidInput("phrases", "is empty; name at least one object to look for")
        image = read_image(request.image, payloads)
        thresholds = tuple(read_fraction(request.options, name) for name in ("score_threshold", "iou_threshold"))
        # Photos of one size go together: padding one to another's size would change its boxes.
        key = (thresholds, image.shape)
        detections, warnings = self.batcher.one((image, phrases), key, context.add_callback)
        response = pb.DetectResponse(
            detections=map(write_detection, detections), warnings=warnings, model=write_model(self.model)
        )
        return Packet(response, Payloads())

    def _predict(
        self, items: Sequence[tuple[np.ndarray, list[str]]], key: Key
    ) -> list[tuple[list[Detection], list[str]]]:
        images, phrases = zip(*items, strict=True)
        return self.model.predict(images, phrases, *key[0])


SERVICE = Service(
    name="detect",
    descriptor=pb.DESCRIPTOR.services_by_name["DetectService"],
    servicer=DetectServicer,
    step=STEP_DETECT,
    models={
        "embedded": "services.detect.embedded:EmbeddedDetector",
        "transformers": "services.detect.grounding_dino:GroundingDino",
        "groundingdino": "services.detect.grounding_dino_py:GroundingDinoPy",
    },
)

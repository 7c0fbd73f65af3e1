"""DetectService: message in, call the model, message out."""

from collections.abc import Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.image import read_image
from tensorhop.messages import Model, read_fraction, read_phrases, write_detection, write_model
from tensorhop.payloads import Payloads
from tensorhop.results import Detection
from tensorhop.server import Service
from tensorhop.v1 import detect_pb2 as pb
from tensorhop.v1.fault_pb2 import STEP_DETECT
from tensorhop.wire import Packet


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

    def Detect(self, packet: Packet[pb.DetectRequest], context: grpc.ServicerContext) -> Packet:
        request, payloads = packet
        phrases = read_phrases(request.phrases)
        if not phrases:
            raise InvalidInput("phrases", "is empty; name at least one object to look for")
        thresholds = (read_fraction(request.options, name) for name in ("score_threshold", "iou_threshold"))
        ((detections, warnings),) = self.model.predict([read_image(request.image, payloads)], [phrases], *thresholds)
        response = pb.DetectResponse(
            detections=map(write_detection, detections), warnings=warnings, model=write_model(self.model)
        )
        return Packet(response, Payloads())


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

"""SegmentService: one mask or one fault a box, each sent as soon as it is done."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.batching import Batcher
from tensorhop.errors import fault_of
from tensorhop.geometry import Box, size_of
from tensorhop.image import read_image
from tensorhop.messages import Model, read_boxes, write_mask, write_model
from tensorhop.payloads import Payloads
from tensorhop.results import Mask
from tensorhop.server import Service
from tensorhop.v1 import segment_pb2 as pb
from tensorhop.v1.fault_pb2 import STEP_SEGMENT
from tensorhop.wire import Packet


class Segmenter(Model, Protocol):
    """The mask of the object in one box of each photo; images are height x width x 3, uint8, sRGB."""

    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]: ...


class SegmentServicer:
    def __init__(self, model: Segmenter) -> None:
        self.model = model
        self.batcher = Batcher("segment", self._predict, model.largest_batch)

    def Segment(self, packet: Packet[pb.SegmentRequest], context: grpc.ServicerContext) -> Iterator[Packet]:
        request, payloads = packet
        photo = read_image(request.image, payloads)
        answer = Payloads.lent(request.lent)
        model = write_model(self.model)
        boxes = read_boxes(request.boxes, size_of(photo))
        for index, outcome in self.batcher.submit([(photo, box) for box in boxes], None, context.add_callback):
            if isinstance(outcome, Mask):
                response = pb.SegmentResponse(index=index, mask=write_mask(outcome, answer), model=model)
            else:  # one box's failure is its own
                fault = fault_of(outcome, STEP_SEGMENT)
                response = pb.SegmentResponse(index=index, fault=fault, model=model)
            yield Packet(response, answer)
            answer.clear()

    def _predict(self, items: Sequence[tuple[np.ndarray, Box]], key: None) -> list[Mask]:
        images, boxes = zip(*items, strict=True)
        return self.model.predict(images, boxes)


SERVICE = Service(
    name="segment",
    descriptor=pb.DESCRIPTOR.services_by_name["SegmentService"],
    servicer=SegmentServicer,
    step=STEP_SEGMENT,
    models={
        "embedded": "services.segment.embedded:EmbeddedSegmenter",
        "onnx": "services.segment.onnx:OnnxSegmenter",
        "transformers": "services.segment.hub_code:HubCodeSegmenter",
    },
)

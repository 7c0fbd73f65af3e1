"""SegmentService: one mask or one fault for each box, sent as soon as it is done."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import grpc
import numpy as np

from tensorhop.errors import fault_of
from tensorhop.models.model import Model
from tensorhop.rpc.batching import Batcher
from tensorhop.v1 import segment_pb2 as pb
from tensorhop.values.geometry import Box, size_of
from tensorhop.values.results import Mask
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_boxes, write_mask, write_model
from tensorhop.wire.payloads import Payloads


class Segmenter(Model, Protocol):
    """A model that makes a mask of the object in a box. A batch is of one photo if it has a true `one_photo`."""

    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]:
        """The mask of the object in one box of each photo.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            boxes: one for each image, in its pixels; it overlaps the image.

        Returns:
            Masks with uint8 alpha, 0 to 255; 0 x 0 if there is no object in the box.
        """


@runtime_checkable
class GrowingSegmenter(Segmenter, Protocol):
    """A segmenter that can make a mask of a whole object from a box that shows a part of it."""

    def predict_grown(
        self, images: Sequence[np.ndarray], boxes: Sequence[Box], neighbours: Sequence[Sequence[Box]]
    ) -> list[Mask]:
        """The mask of the whole object of which one box of each photo may show a part.

        Args:
            images, boxes: as for `predict`.
            neighbours: for each box, those of other objects in its photo, in its pixels.

        Returns:
            As `predict` does.
        """


Item = tuple[np.ndarray, Box, list[Box]]  # a photo, a box, and the boxes of its neighbours
Key = tuple[bool, int | None]  # whether masks may grow; and the photo, for a model of which a batch holds one photo


class SegmentServicer:
    def __init__(self, model: Segmenter) -> None:
        self.model = model
        self.batcher = Batcher("segment", self._predict, model.largest_batch)

    def Segment(
        self, packet: Packet[pb.SegmentRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.SegmentResponse]]:
        request, payloads = packet
        photo = read_image(request.image, payloads)
        answer = Payloads.lent(request.lent)
        model = write_model(self.model)
        boxes = read_boxes(request.boxes, size_of(photo))
        grown = request.may_grow and isinstance(self.model, GrowingSegmenter)
        if grown:
            known = [*boxes, *read_boxes(request.neighbours, size_of(photo), "neighbours")]
            items = [(photo, box, [other for other in known if other != box]) for box in boxes]
        else:
            items = [(photo, box, []) for box in boxes]
        key = (grown, id(photo) if getattr(self.model, "one_photo", False) else None)
        for index, outcome in self.batcher.submit(items, key, context.add_callback):
            if isinstance(outcome, Mask):
                response = pb.SegmentResponse(index=index, mask=write_mask(outcome, answer), model=model)
            else:  # a fault of one box does not fail the others
                fault = fault_of(outcome, "segment")
                response = pb.SegmentResponse(index=index, fault=fault, model=model)
            yield Packet(response, answer)
            answer.clear()

    def _predict(self, items: Sequence[Item], key: Key) -> list[Mask]:
        images, boxes, neighbours = zip(*items, strict=True)
        grown, _ = key
        if isinstance(self.model, GrowingSegmenter) and grown:
            return self.model.predict_grown(images, boxes, neighbours)
        return self.model.predict(images, boxes)

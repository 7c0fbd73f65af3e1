"""DescribeService: message in, call the model, message out."""

from collections.abc import Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.models.model import Model
from tensorhop.rpc.batching import Batcher
from tensorhop.v1 import describe_pb2 as pb
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.results import Description
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_describe, write_model, write_region
from tensorhop.wire.payloads import Payloads


class Describer(Model, Protocol):
    """A model that describes photos."""

    def predict(self, images: Sequence[np.ndarray], options: DescribeOptions = ...) -> list[Description]:
        """A description of each photo.

        Args:
            images: height x width x 3 each, uint8, sRGB.

        Raises:
            InvalidInput: the model does not support one of the options.
        """


class DescribeServicer:
    def __init__(self, model: Describer) -> None:
        self.model = model
        self.batcher = Batcher("describe", model.predict, model.largest_batch)

    def Describe(
        self, packet: Packet[pb.DescribeRequest], context: grpc.ServicerContext
    ) -> Packet[pb.DescribeResponse]:
        request, payloads = packet
        options = read_describe(request.options)
        description = self.batcher.one(read_image(request.image, payloads), options, context.add_callback)
        response = pb.DescribeResponse(
            text=description.text,
            score=description.score,
            region=write_region(description.region),
            model=write_model(self.model),
        )
        return Packet(response, Payloads())

"""DescribeService: message in, call the model, message out."""

from collections.abc import Sequence
from typing import Protocol

import grpc
import numpy as np

from tensorhop.batching import Batcher
from tensorhop.caption import DescribeOptions
from tensorhop.image import read_image
from tensorhop.messages import Model, read_describe, write_model, write_region
from tensorhop.payloads import Payloads
from tensorhop.results import Description
from tensorhop.server import Service
from tensorhop.v1 import describe_pb2 as pb
from tensorhop.v1.fault_pb2 import STEP_DESCRIBE
from tensorhop.wire import Packet


class Describer(Model, Protocol):
    """Says what each photo shows; images are height x width x 3, uint8, sRGB."""

    def predict(self, images: Sequence[np.ndarray], options: DescribeOptions = ...) -> list[Description]: ...


class DescribeServicer:
    def __init__(self, model: Describer) -> None:
        self.model = model
        self.batcher = Batcher("describe", model.predict, model.largest_batch)

    def Describe(self, packet: Packet[pb.DescribeRequest], context: grpc.ServicerContext) -> Packet:
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


SERVICE = Service(
    name="describe",
    descriptor=pb.DESCRIPTOR.services_by_name["DescribeService"],
    servicer=DescribeServicer,
    step=STEP_DESCRIBE,
    models={
        "embedded": "services.describe.embedded:EmbeddedDescriber",
        "transformers": "services.describe.captioner:Captioner",
    },
)

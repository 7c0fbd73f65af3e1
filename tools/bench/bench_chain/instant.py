"""Models that answer at once, and a postprocess that does: what is left is the chain itself, and its calls."""

import cv2
import grpc
import numpy as np

from bench_chain.simulated import SimulatedDescriber, SimulatedDetector, SimulatedSegmenter
from tensorhop.rpc.service import Service
from tensorhop.v1 import postprocess_pb2 as pb
from tensorhop.values.results import Layer, Placement
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_mask, read_size, write_layer, write_placement
from tensorhop.wire.payloads import Payloads

OBJECTS = 2


class InstantDescriber(SimulatedDescriber):
    def launch(self, items: int) -> None: ...


class InstantDetector(SimulatedDetector):
    def __init__(self) -> None:
        super().__init__(OBJECTS)

    def launch(self, items: int) -> None: ...


class InstantSegmenter(SimulatedSegmenter):
    def launch(self, items: int) -> None: ...


MODELS = {"describe": InstantDescriber, "detect": InstantDetector, "segment": InstantSegmenter}


class InstantPostprocess:
    """The crop with its mask as alpha, where it was in the photo."""

    def Postprocess(
        self, packet: Packet[pb.PostprocessRequest], context: grpc.ServicerContext
    ) -> Packet[pb.PostprocessResponse]:
        request, payloads = packet
        photo = read_size(request.photo)
        mask = read_mask(request.mask, payloads, photo)
        pixels = cv2.cvtColor(np.array(read_image(request.crop, payloads, "crop")), cv2.COLOR_RGB2RGBA)
        pixels[..., 3] = mask.alpha if mask.alpha.dtype == np.uint8 else np.rint(mask.alpha * 255)
        answer = Payloads.lent(request.lent)
        cutout, place = write_layer(Layer(pixels, mask.region), answer), write_placement(Placement(photo, 1, 0, 0))
        return Packet(pb.PostprocessResponse(cutout=cutout, placement=place), answer)


POSTPROCESS = Service("postprocess", "tensorhop.v1.postprocess_pb2:PostprocessService", InstantPostprocess)

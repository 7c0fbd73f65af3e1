"""What the chain answers, from plain values."""

import numpy as np

from tensorhop.orchestrator.chain.encoders import ENCODERS
from tensorhop.orchestrator.views.request import ViewsRequest
from tensorhop.orchestrator.views.step_calls import Pair, View
from tensorhop.v1 import fault_pb2, pipeline_pb2, quality_pb2
from tensorhop.v1 import views_pb2 as pb
from tensorhop.values.encoding import encode_opaque
from tensorhop.values.geometry import Region, size_of
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_region
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor


def make_picture(pixels: np.ndarray, request: ViewsRequest, payloads: Payloads) -> pipeline_pb2.Picture:
    """Pixels (uint8, height x width x 3) as the caller wants them."""
    picture = pipeline_pb2.Picture(region=write_region(Region.of(size_of(pixels))))
    if request.output.encoding == "tensor":
        picture.tensor.CopyFrom(to_tensor(pixels, payloads))
        return picture
    with ENCODERS.turn(request.scope.caller):
        picture.encoded = payloads.put(encode_opaque(pixels, request.output))
    return picture


def pair_result(interval: int, panorama: int, pair: Pair, request: ViewsRequest) -> Packet[pb.PairResult]:
    payloads = Payloads()
    picture = make_picture(pair.pixels, request, payloads)
    return Packet(pb.PairResult(interval=interval, panorama=panorama, cameras=pair.cameras, pair=picture), payloads)


def pair_score(interval: int, panorama: int, quality: quality_pb2.Quality) -> Packet[pb.PairScore]:
    return Packet(pb.PairScore(interval=interval, panorama=panorama, quality=quality), Payloads())


def decision(interval: int, kept: bool, score: float | None) -> Packet[pb.IntervalDecision]:
    return Packet(pb.IntervalDecision(interval=interval, kept=kept, score=score), Payloads())


def description(interval: int, text: str, score: float) -> Packet[pb.ViewDescription]:
    return Packet(pb.ViewDescription(interval=interval, text=text, score=score), Payloads())


def view_result(
    interval: int, key: tuple[int, int], view: View, scale: int, request: ViewsRequest
) -> Packet[pb.ViewResult]:
    """A view, of the panorama and the weight that `key` says."""
    payloads = Payloads()
    picture = make_picture(view.pixels, request, payloads)
    result = pb.ViewResult(
        interval=interval, panorama=key[0], weight_idx=key[1], camera=view.camera, scale=scale, view=picture
    )
    return Packet(result, payloads)


def view_fault(interval: int, fault: fault_pb2.Fault, key: tuple[int, int] = (0, 0)) -> Packet[pb.ViewFault]:
    """A fault, of the panorama and the weight that `key` says."""
    return Packet(pb.ViewFault(interval=interval, panorama=key[0], weight_idx=key[1], fault=fault), Payloads())

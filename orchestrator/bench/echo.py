"""EchoService as the product serves it: array in, array out; and one that reads in place, as the chain's steps do."""

import grpc
import numpy as np

from tensorhop.rpc.service import Service
from tensorhop.v1 import echo_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array, to_tensor


class EchoServicer:
    def Echo(self, packet: Packet[pb.EchoRequest], context: grpc.ServicerContext) -> Packet[pb.EchoResponse]:
        request, payloads = packet
        array = to_array(request.tensor, payloads, "tensor")
        answer = Payloads.lent(request.lent)
        return Packet(pb.EchoResponse(tensor=to_tensor(array, answer)), answer)


class ReadServicer:
    """Reads an image where it lies, and answers a thumbnail; or in a lent slot the object's mask, or all that came."""

    def Echo(self, packet: Packet[pb.EchoRequest], context: grpc.ServicerContext) -> Packet[pb.EchoResponse]:
        request, payloads = packet
        array = to_array(request.tensor, payloads, "tensor")
        answer = Payloads.lent(request.lent)
        room = sum(part.size for part in request.lent)
        found = array if room >= array.nbytes else object_of(array)[..., 0] if room else thumbnail(array)
        return Packet(pb.EchoResponse(tensor=to_tensor(found, answer)), answer)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Few pixels from all over an image."""
    return image[:: max(1, image.shape[0] // 8), :: max(1, image.shape[1] // 8)]


def object_of(image: np.ndarray) -> np.ndarray:
    """The object of an image: a quarter of each side, so a sixteenth of the pixels."""
    height, width = image.shape[:2]
    return image[height // 4 : height // 2, width // 4 : width // 2]


SERVICE = Service(
    name="echo",
    contract="tensorhop.v1.echo_pb2:EchoService",
    servicer=EchoServicer,
)


READER = Service(
    name="echo",
    contract="tensorhop.v1.echo_pb2:EchoService",
    servicer=ReadServicer,
)

"""EchoService as the product serves it: array in, array out."""

import grpc

from tensorhop.payloads import Payloads
from tensorhop.server import Service
from tensorhop.tensor import to_array, to_tensor
from tensorhop.v1 import echo_pb2 as pb
from tensorhop.wire import Packet


class EchoServicer:
    def Echo(self, packet: Packet[pb.EchoRequest], context: grpc.ServicerContext) -> Packet:
        request, payloads = packet
        array = to_array(request.tensor, payloads, "tensor")
        answer = Payloads.lent(request.lent)
        return Packet(pb.EchoResponse(tensor=to_tensor(array, answer)), answer)


SERVICE = Service(
    name="echo",
    descriptor=pb.DESCRIPTOR.services_by_name["EchoService"],
    servicer=EchoServicer,
)

"""EchoService as the product serves it: array in, array out."""

import grpc

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


SERVICE = Service(
    name="echo",
    contract="tensorhop.v1.echo_pb2:EchoService",
    servicer=EchoServicer,
)

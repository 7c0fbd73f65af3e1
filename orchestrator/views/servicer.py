"""ViewsService: the gRPC front of the chain."""

from collections.abc import Iterator

import grpc

from tensorhop.orchestrator.chain.servicer import ChainServicer
from tensorhop.orchestrator.views.chain import process
from tensorhop.v1 import views_pb2 as pb
from tensorhop.wire.codec import Packet


class ViewsServicer(ChainServicer):
    def Process(
        self, packet: Packet[pb.ViewsServiceProcessRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.ViewsServiceProcessResponse]]:
        return self.answer(process, packet, context, pb.ViewsServiceProcessResponse)

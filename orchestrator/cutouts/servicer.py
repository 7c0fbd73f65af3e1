"""PipelineService: the gRPC front of the chain."""

from collections.abc import Iterator

import grpc

from tensorhop.orchestrator.chain.servicer import ChainServicer
from tensorhop.orchestrator.cutouts.pipeline import process
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire.codec import Packet


class PipelineServicer(ChainServicer):
    def Process(
        self, packet: Packet[pb.ProcessRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.ProcessResponse]]:
        return self.answer(process, packet, context, pb.ProcessResponse)

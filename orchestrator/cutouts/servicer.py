"""PipelineService: the gRPC front of the chain."""

from collections.abc import Iterator

import grpc
from google.protobuf.message import Message

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.servicer import ChainServicer
from tensorhop.orchestrator.cutouts.pipeline import process
from tensorhop.request_id import LONGEST, REQUEST_ID, metadata_of, new_id, usable
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire.codec import Packet

NO_DEADLINE_SECONDS = 1e9  # gRPC answers a huge number, not None, where the caller set no deadline


class PipelineServicer(ChainServicer):
    def Process(
        self, packet: Packet[pb.ProcessRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.ProcessResponse]]:
        remaining = context.time_remaining()
        scope = RequestScope(
            request_id=read_request_id(packet.message, context),
            pool=self.steps.pool,
            seconds=None if remaining is None or remaining > NO_DEADLINE_SECONDS else remaining,
        )
        context.add_callback(scope.cancel)  # when the caller has gone, so has the need for the work
        events = process(packet, self.steps, scope)
        try:
            for event, payloads in events:
                yield Packet(wrap(event, scope.request_id), payloads)
        finally:
            events.close()  # ends the calls that are still under way, before their slots are given back
            scope.close()


def wrap(event: Message, request_id: str) -> pb.ProcessResponse:
    response = pb.ProcessResponse(request_id=request_id)
    match event:
        case pb.Description():
            response.description.MergeFrom(event)
        case pb.Detections():
            response.detections.MergeFrom(event)
        case pb.ObjectResult():
            response.object.MergeFrom(event)
        case pb.ObjectFault():
            response.fault.MergeFrom(event)
        case pb.Summary():
            response.summary.MergeFrom(event)
    return response


def read_request_id(request: pb.ProcessRequest, context: grpc.ServicerContext) -> str:
    """The caller's id for the request, from the message or the metadata, or a new one."""
    given = request.request_id or metadata_of(context).get(REQUEST_ID, "")
    if given and not usable(given):
        raise InvalidInput("request_id", f"must be at most {LONGEST} printable ASCII characters")
    return given or new_id()

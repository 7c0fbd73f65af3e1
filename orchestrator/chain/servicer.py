"""What the gRPC front of every chain has."""

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from tensorhop.errors import Abandoned, InvalidInput, fault_of
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.request_id import LONGEST, REQUEST_ID, new_id, text_of, usable
from tensorhop.v1 import info_pb2
from tensorhop.wire.codec import Packet

R = TypeVar("R", bound=Message)
# Runs a chain for a request; yields packets of events as they happen.
Process = Callable[[Packet[Any], Steps, RequestScope], Generator[Packet[Any], None, None]]

LEFT = "the caller left before the end"
NO_DEADLINE_SECONDS = 1e9  # gRPC answers a huge number, not None, where the caller set no deadline


class ChainServicer:
    """A chain's servicer, made from its connected steps; its server is ready while all of them can be called."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def upstreams(self) -> list[info_pb2.Upstream]:
        """The services that it calls, for InfoService and readiness."""
        return self.steps.upstreams()

    def answer(
        self, process: Process, packet: Packet[Any], context: grpc.ServicerContext, response: type[R]
    ) -> Iterator[Packet[R]]:
        """Run a chain for a request, and answer its events; the work ends when the caller has gone.

        Args:
            response: the message of an answer: a `request_id`, and the events, each of another kind, as oneof `event`.
        """
        remaining = context.time_remaining()
        request_id, recordings = read_request_id(packet.message, context), self.steps.recordings
        recorder = recordings.begin(request_id, packet) if recordings else None
        scope = RequestScope(
            request_id=request_id,
            pool=self.steps.pool,
            seconds=None if remaining is None or remaining > NO_DEADLINE_SECONDS else remaining,
            recorder=recorder,
        )
        context.add_callback(scope.cancel)  # when the caller has gone, so has the need for the work
        events = process(packet, self.steps, scope)
        try:
            for event, payloads in events:
                answer = Packet(wrap(event, response, scope.request_id), payloads)
                if recorder:
                    recorder.event(answer)
                yield answer
        except BaseException as error:
            if recorder:
                reason = error if isinstance(error, Exception) else Abandoned(LEFT)
                recorder.fault = fault_of(reason, recorder.chain)
            raise
        finally:
            events.close()  # ends the calls that are still under way, before their slots are given back
            if recordings and recorder:
                recorder.steps = recorder.steps or scope.steps(self.steps)
                recordings.keep(recorder)
            scope.close()


def wrap(event: Message, response: type[R], request_id: str) -> R:
    """The answer that holds an event, in that field of its oneof that is of the event's kind."""
    fields = response.DESCRIPTOR.oneofs_by_name["event"].fields
    name = next(field.name for field in fields if field.message_type is event.DESCRIPTOR)
    answer = response(request_id=request_id)
    getattr(answer, name).MergeFrom(event)
    return answer


def read_request_id(request: Any, context: grpc.ServicerContext) -> str:
    """The caller's id for the request, from the message or the metadata, or a new one."""
    given: str = request.request_id or text_of(context, REQUEST_ID)
    if given and not usable(given):
        raise InvalidInput("request_id", f"must be at most {LONGEST} printable ASCII characters")
    return given or new_id()

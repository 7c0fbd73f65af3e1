"""The chain: photo -> describe -> detect -> segment (per object) -> postprocess (per object) -> cut-outs."""

from collections.abc import Generator, Iterable
from typing import Any

from tensorhop.orchestrator.chain.ordering import in_order
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.objects import finish_merged, finish_objects
from tensorhop.orchestrator.cutouts.request import read_request
from tensorhop.orchestrator.cutouts.step_calls import describe, detect
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_size
from tensorhop.wire.payloads import Payloads

Event = Packet  # of a Description, Detections, ObjectResult, ObjectFault or Summary


def process(packet: Packet[pb.ProcessRequest], steps: Steps, scope: RequestScope) -> Generator[Event, None, None]:
    """Run the chain for one request; yields events as they happen, the Summary last.

    Raises:
        InvalidInput: the request is wrong.
        ServiceFault: describe or detect failed. A failure of one object is an ObjectFault instead.
    """
    request = read_request(packet, steps.cache, scope)
    phrases, objects = request.phrases, request.objects
    if objects is None:
        if not phrases:
            description = describe(request, steps, scope)
            yield Packet(description, Payloads())
            phrases = [description.text]
        detections = detect(request, phrases, steps, scope)
        yield Packet(detections, Payloads())
        objects = list(detections.detections)
    else:
        yield Packet(pb.Detections(detections=objects), Payloads())
    results = faults = 0
    finish = finish_merged if request.merge else finish_objects
    outcomes: Iterable[Packet[Any]] = finish(request, objects, steps, scope)
    if request.ordered:
        outcomes = in_order(outcomes, lambda outcome: outcome.message.detection.index)
    for outcome in outcomes:
        results += isinstance(outcome.message, pb.ObjectResult)
        faults += isinstance(outcome.message, pb.ObjectFault)
        yield outcome
    summary = pb.Summary(
        photo=write_size(request.size),
        objects=results,
        faults=faults,
        seconds=scope.seconds(),
        steps=scope.steps(steps),
    )
    yield Packet(summary, Payloads())

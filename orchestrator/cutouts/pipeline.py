"""The chain: photo -> describe -> detect -> segment (per object) -> postprocess (per object) -> cut-outs."""

from collections.abc import Generator, Iterable
from typing import Any

from tensorhop.orchestrator.chain.outcomes import in_order
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.known_alpha import WARNINGS, alpha_masks, whole_object
from tensorhop.orchestrator.cutouts.objects import finish_merged, finish_objects
from tensorhop.orchestrator.cutouts.request import CutoutRequest, read_request
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
    if request.objects is not None:
        found = pb.Detections(detections=request.objects)
    elif request.phrases:
        found = detect(request, request.phrases, steps, scope)
    else:
        description = describe(request, steps, scope)
        yield Packet(description, Payloads())
        found = central_objects(request, description.text, steps, scope)
    objects = list(found.detections)
    if not request.masks:
        request.known = alpha_masks(request.alpha, objects)
    found.warnings.extend([*request.warnings, *WARNINGS[request.alpha_use]])
    yield Packet(found, Payloads())
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
        alpha=request.alpha_use,
        detect_masks=len(request.detected.keys() - request.known.keys()),
    )
    yield Packet(summary, Payloads())


def central_objects(request: CutoutRequest, name: str, steps: Steps, scope: RequestScope) -> pb.Detections:
    """Where the objects of the name are that describe gave: what is opaque, if the photo is cut out already."""
    if request.alpha is not None and (whole := whole_object(request.alpha, name)):
        return pb.Detections(detections=[whole])
    return detect(request, [name], steps, scope)

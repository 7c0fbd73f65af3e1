"""The chain's services as functions: a call each, from plain values to plain messages, through the step cache."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from tensorhop.orchestrator.chain import describing
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.step_cache import canonical
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.known_alpha import bounded
from tensorhop.orchestrator.cutouts.request import CutoutRequest
from tensorhop.v1 import detect_pb2, fault_pb2, postprocess_pb2, segment_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.values.results import Mask
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import (
    corners,
    read_mask,
    write_detect,
    write_finish,
    write_image,
    write_mask,
    write_size,
)
from tensorhop.wire.payloads import Payloads

MASK_MARGIN = 0.5  # of a box's sides, that a mask may reach beyond it, for the size of the slot in which it comes back
LEAST_LAYER_BYTES = 4 * 1024 * 1024  # room for a layer, also of a small object whose shadow is larger than itself


def describe(request: CutoutRequest, steps: Steps, scope: RequestScope) -> pb.Description:
    """What the photo shows."""
    answer = describing.describe(request.image, request.describe, request.cache, steps["describe"], scope)
    return pb.Description(text=answer.text, score=answer.score, region=answer.region)


def detect(request: CutoutRequest, phrases: list[str], steps: Steps, scope: RequestScope) -> pb.Detections:
    """Where the objects are that the phrases name, best first. Masks that come with them go to the request."""
    step, options = steps["detect"], write_detect(request.detect)

    def build(shared: bool) -> Packet[Any]:
        (image,), payloads = request.image.message(shared)
        return Packet(detect_pb2.DetectRequest(image=image, phrases=phrases, options=options, masks=True), payloads)

    def ask() -> Packet[detect_pb2.DetectResponse]:
        return step.call("Detect", build, scope)

    parameters = [canonical(options), *(phrase.encode() for phrase in phrases)]
    answer, payloads = request.cache.packet(step, parameters, detect_pb2.DetectResponse, ask)
    found, most, warnings = len(answer.detections), request.max_objects, list(answer.warnings)
    if found > most:
        warnings.append(f"{found} objects were found, and max_objects is {most}: the best {most} are cut out.")
    detections = pb.Detections(detections=answer.detections[:most], warnings=warnings)
    for place, one in enumerate(detections.detections):
        if one.HasField("mask"):
            request.detected[place] = read_mask(one.mask, payloads, request.size, f"detections[{place}].mask")
            one.ClearField("mask")  # it goes on with the object
    return detections


def segment(
    request: CutoutRequest, objects: list[detect_pb2.Detection], steps: Steps, scope: RequestScope
) -> Iterator[tuple[int, Mask | fault_pb2.Fault]]:
    """Index and mask, or fault, of each object. The alpha bounds all.

    The caller's own masks come before those that the photo's alpha is, those before detect's, and those before segment.
    """
    masks = dict(enumerate(request.masks)) or {**request.detected, **request.known}
    outcomes = chain(masks.items(), segmented(request, objects, masks, steps, scope))
    for index, outcome in outcomes:
        yield index, bounded(outcome, request.alpha) if isinstance(outcome, Mask) else outcome


def segmented(
    request: CutoutRequest,
    objects: list[detect_pb2.Detection],
    known: Mapping[int, Mask],
    steps: Steps,
    scope: RequestScope,
) -> Iterator[tuple[int, Mask | fault_pb2.Fault]]:
    """Index and mask, or fault, of each object without a known mask, from segment."""
    if len(known) == len(objects):
        return
    step, boxes = steps["segment"], [detection.box for detection in objects]
    may_grow = request.may_grow  # otherwise the caller's own boxes bound their masks

    def ask(wanted: Sequence[int]) -> Iterator[tuple[int, Mask | fault_pb2.Fault]]:
        missing = list(wanted)

        def build(shared: bool) -> Packet[Any]:
            (image,), payloads = request.image.message(shared)
            message = segment_pb2.SegmentRequest(
                image=image,
                boxes=[boxes[index] for index in missing],
                may_grow=may_grow,
                neighbours=[box for index, box in enumerate(boxes) if index not in missing] if may_grow else [],
            )
            if payloads.slots:
                for box in message.boxes:
                    reach = corners(box).padded(MASK_MARGIN).clipped(request.size)
                    message.lent.extend(payloads.lend(scope.slots.borrow(int(reach.area))))
            return Packet(message, payloads)

        def attempt() -> Iterator[tuple[int, Mask | fault_pb2.Fault]]:
            asked = tuple(missing)  # a stream that breaks is taken up again for those that it did not bring
            for answer, payloads in step.stream("Segment", build, scope):
                index = asked[answer.index]
                missing.remove(index)
                yield index, read_mask(answer.mask, payloads, request.size) if answer.HasField("mask") else answer.fault

        yield from step.retry.stream(attempt, scope)

    parameters = {index: [canonical(box)] for index, box in enumerate(boxes) if index not in known}
    if may_grow:  # the mask depends on the other boxes, too
        together = b"may_grow" + b"".join(sorted(map(canonical, boxes)))
        parameters = {index: [*own, together] for index, own in parameters.items()}
    yield from request.cache.masks(step, parameters, request.size, ask)


def postprocess(
    request: CutoutRequest, index: int, mask: Mask, steps: Steps, scope: RequestScope
) -> tuple[Packet[postprocess_pb2.PostprocessResponse], list[Payloads]]:
    """The finished object of a mask, and what was sent for it, whose slots the answer's layers may lie in."""
    crop = request.photo[mask.region.slices]
    canvas = request.finish.canvas if request.finish.center else mask.region.size
    layer_bytes = max(LEAST_LAYER_BYTES, 4 * canvas.width * canvas.height)
    sent: list[Payloads] = []  # an attempt each

    def build(shared: bool) -> Packet[Any]:
        slots = [scope.slots.borrow(crop.nbytes + mask.alpha.nbytes + 128)] if shared else []
        payloads = Payloads.into(slots)
        sent.append(payloads)
        message = postprocess_pb2.PostprocessRequest(
            crop=write_image(crop, payloads),
            mask=write_mask(mask, payloads),
            photo=write_size(request.size),
            finish=write_finish(request.finish),
        )
        if payloads.slots:
            message.lent.extend(payloads.lend(scope.slots.borrow(2 * layer_bytes)))
        return Packet(message, payloads)

    return steps["postprocess"].call("Postprocess", build, scope, object=index), sent

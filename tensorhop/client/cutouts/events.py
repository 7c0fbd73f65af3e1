"""What the pipeline answers, as plain values."""

from collections.abc import Callable, Mapping

from tensorhop.errors import code_name, service_of
from tensorhop.v1 import fault_pb2, pipeline_pb2
from tensorhop.values.results import (
    Description,
    Detections,
    Layer,
    Mask,
    ObjectFault,
    ObjectResult,
    StepSummary,
    Summary,
)
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import (
    read_description,
    read_detection,
    read_layer,
    read_placement,
    read_region,
    read_size,
)
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array

Event = Description | Detections | ObjectResult | ObjectFault | Summary


def _read_detections(message: pipeline_pb2.Detections, payloads: Payloads) -> Detections:
    return Detections([read_detection(detection, payloads) for detection in message.detections], list(message.warnings))


def _read_mask(message: pipeline_pb2.ObjectResult | pipeline_pb2.ObjectFault, payloads: Payloads) -> Mask | None:
    if not message.HasField("mask"):
        return None
    return Mask(to_array(message.mask.alpha, payloads, "mask.alpha"), read_region(message.mask.region))


def _read_result(message: pipeline_pb2.ObjectResult, payloads: Payloads) -> ObjectResult:
    picture = message.picture
    pixels = to_array(picture.tensor, payloads, "picture.tensor") if picture.HasField("tensor") else None
    return ObjectResult(
        detection=read_detection(message.detection, payloads),
        picture=None if pixels is None else Layer(pixels, read_region(picture.region)),
        file=bytes(payloads.get(picture.encoded)) if picture.HasField("encoded") else None,
        placement=read_placement(message.placement),
        seconds=message.seconds,
        mask=_read_mask(message, payloads),
        cutout=read_layer(message.cutout, payloads, "cutout") if message.HasField("cutout") else None,
        shadow=read_layer(message.shadow, payloads, "shadow") if message.HasField("shadow") else None,
        warnings=list(message.warnings),
    )


def _read_fault(message: pipeline_pb2.ObjectFault, payloads: Payloads) -> ObjectFault:
    fault = message.fault
    return ObjectFault(
        detection=read_detection(message.detection, payloads),
        step=service_of(fault),
        code=code_name(fault),
        field=fault.field,
        message=fault.message,
        retryable=fault.retryable,
        mask=_read_mask(message, payloads),
    )


TRANSPORTS = {
    pipeline_pb2.TRANSPORT_UNSPECIFIED: "",
    pipeline_pb2.TRANSPORT_MESSAGE: "message",
    pipeline_pb2.TRANSPORT_SHARED_MEMORY: "shared_memory",
}


def read_step(step: pipeline_pb2.StepSummary) -> StepSummary:
    return StepSummary(
        step=step.service or fault_pb2.Step.Name(step.step).removeprefix("STEP_").lower(),
        calls=step.calls,
        seconds=step.seconds,
        model=step.model.name,
        revision=step.model.revision,
        digest=step.model.digest,
        transport=TRANSPORTS[step.transport],
        cached=step.cached,
    )


def _read_summary(message: pipeline_pb2.Summary, payloads: Payloads) -> Summary:
    steps = [read_step(step) for step in message.steps]
    alpha = pipeline_pb2.AlphaUse.Name(message.alpha).removeprefix("ALPHA_USE_").lower() if message.alpha else ""
    return Summary(
        photo=read_size(message.photo),
        objects=message.objects,
        faults=message.faults,
        seconds=message.seconds,
        steps=steps,
        alpha=alpha,
        detect_masks=message.detect_masks,
    )


EVENTS: Mapping[str, Callable[..., Event]] = {
    "description": lambda message, payloads: read_description(message),
    "detections": _read_detections,
    "object": _read_result,
    "fault": _read_fault,
    "summary": _read_summary,
}


def read_event(packet: Packet[pipeline_pb2.ProcessResponse]) -> Event:
    """The event of an answer."""
    name = packet.message.WhichOneof("event")
    return EVENTS[name](getattr(packet.message, name), packet.payloads)

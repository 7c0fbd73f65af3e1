"""The objects of one request: masks, finished pictures and faults, each as soon as it is done, or all as one."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tensorhop.errors import fault_of
from tensorhop.orchestrator.chain.encoders import ENCODERS
from tensorhop.orchestrator.chain.outcomes import each_answered
from tensorhop.orchestrator.chain.pixel_budget import PixelBudget
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.chain.threads import TaskGroup, as_they_come
from tensorhop.orchestrator.cutouts.merging import merged_detection, merged_mask
from tensorhop.orchestrator.cutouts.request import CutoutRequest
from tensorhop.orchestrator.cutouts.step_calls import postprocess, segment
from tensorhop.rpc.fairness.callers import Caller
from tensorhop.v1 import detect_pb2
from tensorhop.v1 import fault_pb2 as fault_pb
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.encoding import encode_layers
from tensorhop.values.geometry import Region
from tensorhop.values.output_options import Output
from tensorhop.values.results import Layer, Mask
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import (
    read_layer,
    read_placement,
    write_layer,
    write_mask,
    write_region,
)
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor

IN_POSTPROCESS = PixelBudget()  # for the objects of all requests


EMPTY = fault_pb.Fault(
    step=fault_pb.STEP_SEGMENT,
    service="segment",
    code=fault_pb.CODE_INVALID_ARGUMENT,
    field="mask.alpha",
    message="mask.alpha is empty: nothing in it is above 0.05; it is left out of what is merged",
)


NO_OBJECT = fault_pb.Fault(
    step=fault_pb.STEP_SEGMENT,
    service="segment",
    code=fault_pb.CODE_NOT_FOUND,
    message="no pixel in the box belongs to an object, as segment sees it",
)


def finish_objects(
    request: CutoutRequest, objects: list[detect_pb2.Detection], steps: Steps, scope: RequestScope
) -> Iterator[Packet[pb.ObjectResult] | Packet[pb.ObjectFault]]:
    """One outcome an object, in the order in which they get done.

    Postprocess of one object runs beside the segmentation of the next. The first has postprocess to itself: where masks
    come together, it would otherwise take as long as several. One object's failure leaves the others alone.
    """
    first_done = threading.Event()

    def work(put: Callable[[Packet[Any]], None]) -> None:
        def finish(detection: detect_pb2.Detection, mask: Mask, leads: bool) -> None:
            if not leads:
                first_done.wait()
            try:
                put(finish_object(request, detection, mask, steps, scope))
            except Exception as error:
                put(object_fault(detection, fault_of(error, "postprocess"), mask))
            finally:
                first_done.set()

        leads = True
        with TaskGroup(request.max_parallel, "postprocess") as finishing:
            segmented = segment(request, objects, steps, scope)
            for index, outcome in each_answered(segmented, range(len(objects)), "segment"):
                if isinstance(outcome, Mask) and outcome.region.empty:
                    put(object_fault(objects[index], NO_OBJECT, outcome))
                elif isinstance(outcome, Mask):
                    finishing.submit(partial(finish, objects[index], outcome, leads))
                    leads = False
                else:
                    put(object_fault(objects[index], outcome))

    return as_they_come(work, "segment", scope.cancel)


def finish_merged(
    request: CutoutRequest, objects: list[detect_pb2.Detection], steps: Steps, scope: RequestScope
) -> Iterator[Packet[pb.ObjectResult] | Packet[pb.ObjectFault]]:
    """A fault for each object without a mask, and one outcome for all others together."""
    found: dict[int, Mask] = {}
    segmented = segment(request, objects, steps, scope)
    for index, outcome in each_answered(segmented, range(len(objects)), "segment"):
        if not isinstance(outcome, Mask):
            yield object_fault(objects[index], outcome)
        elif outcome.empty:
            yield object_fault(objects[index], EMPTY, outcome)
        else:
            found[index] = outcome
    if not found:
        return
    detection, mask = merged_detection([objects[index] for index in sorted(found)]), merged_mask(list(found.values()))
    try:
        yield finish_object(request, detection, mask, steps, scope)
    except Exception as error:
        yield object_fault(detection, fault_of(error, "postprocess"), mask)


def object_fault(
    detection: detect_pb2.Detection, fault: fault_pb.Fault, mask: Mask | None = None
) -> Packet[pb.ObjectFault]:
    payloads = Payloads()
    written = write_mask(mask, payloads) if mask else None
    return Packet(pb.ObjectFault(detection=detection, fault=fault, mask=written), payloads)


def finish_object(
    request: CutoutRequest, detection: detect_pb2.Detection, mask: Mask, steps: Steps, scope: RequestScope
) -> Packet[pb.ObjectResult]:
    """Postprocess one object and make its picture."""
    with IN_POSTPROCESS.room(mask.alpha.size, scope.check):
        (answer, received), sent = postprocess(request, detection.index, mask, steps, scope)
    layers = [read_layer(answer.shadow, received, "shadow")] if answer.HasField("shadow") else []
    layers.append(read_layer(answer.cutout, received, "cutout"))
    payloads = Payloads()
    canvas = Region.of(read_placement(answer.placement).canvas)
    picture = make_picture(layers, canvas, request.output, payloads, scope.caller, request.background)
    result = pb.ObjectResult(detection=detection, placement=answer.placement, picture=picture, warnings=answer.warnings)
    if request.return_masks:
        result.mask.CopyFrom(write_mask(mask, payloads))
    if request.return_layers:
        result.cutout.CopyFrom(write_layer(layers[-1], payloads))
        if len(layers) == 2:
            result.shadow.CopyFrom(write_layer(layers[0], payloads))
    else:  # nothing that goes on lies in them
        scope.slots.give_back(slot for attempt in sent for slot in attempt.slots)
    result.seconds = scope.seconds()
    return Packet(result, payloads)


def make_picture(
    layers: Sequence[Layer],
    canvas: Region,
    output: Output,
    payloads: Payloads,
    caller: Caller = (),
    background: Layer | None = None,
) -> pb.Picture:
    """The object over its shadow, over the background picture if there is one, as the caller wants it."""
    if background:
        layers = [background, *layers]
    picture = pb.Picture()
    region = canvas
    if output.encoding != "tensor":
        with ENCODERS.turn(caller):
            picture.encoded = payloads.put(encode_layers(layers, canvas, output, background is None))
    elif output.colour:
        picture.tensor.CopyFrom(to_tensor(flatten(compose(layers, canvas), output.colour), payloads))
    else:
        region = canvas if background else layers[0].region.union(layers[-1].region)
        picture.tensor.CopyFrom(to_tensor(compose(layers, region), payloads))
    picture.region.CopyFrom(write_region(region))
    return picture

"""The chain: photo -> describe -> detect -> segment (per object) -> postprocess (per object) -> cut-outs."""

import queue
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from orchestrator.merge import merged_detection, merged_mask
from orchestrator.stages import Scope, Stages
from tensorhop.composite import compose, flatten
from tensorhop.encode import encode
from tensorhop.errors import InvalidInput, fault_of
from tensorhop.finish import Finish
from tensorhop.geometry import Box, Region, Size, size_of
from tensorhop.image import read_image
from tensorhop.messages import (
    check_count,
    corners,
    read_boxes,
    read_describe,
    read_finish,
    read_fraction,
    read_layer,
    read_mask,
    read_output,
    read_phrases,
    read_placement,
    write_box,
    write_image,
    write_layer,
    write_mask,
    write_region,
    write_size,
)
from tensorhop.output import Output
from tensorhop.payloads import Payloads
from tensorhop.results import Mask
from tensorhop.settings import limits
from tensorhop.tensor import to_tensor
from tensorhop.v1 import describe_pb2, detect_pb2, image_pb2, postprocess_pb2, segment_pb2
from tensorhop.v1 import fault_pb2 as fault_pb
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire import Packet

MAX_OBJECTS = 4
MAX_PARALLEL = 4
UNNAMED = "object"  # label of a box or mask to which the caller gave no phrase
MASK_MARGIN = 0.5  # of a box's sides, that a mask may reach beyond it, for the size of the slot in which it comes back
LEAST_LAYER_BYTES = 4 * 1024 * 1024  # room for a layer, also of a small object whose shadow is larger than itself

EMPTY = fault_pb.Fault(
    step=fault_pb.STEP_SEGMENT,
    code=fault_pb.CODE_INVALID_ARGUMENT,
    field="mask.alpha",
    message="mask.alpha is empty: nothing in it is above 0.05; it is left out of what is merged",
)

Event = Packet  # of a Description, Detections, ObjectResult, ObjectFault or Summary


@dataclass
class Job:
    """One request, checked: the photo, and what is already known about its objects."""

    request: pb.ProcessRequest
    photo: np.ndarray
    phrases: list[str]
    objects: list[detect_pb2.Detection] | None  # where the objects are, if the caller said
    masks: list[Mask]  # what the objects are, if the caller said
    finish: Finish
    output: Output
    max_objects: int
    max_parallel: int
    images: dict[bool, tuple[image_pb2.Image, Payloads]] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        return size_of(self.photo)

    def image(self, scope: Scope, shared: bool) -> tuple[image_pb2.Image, Payloads]:
        """The photo as the services get it: written to shared memory once for all of them, or inside the message."""
        if shared not in self.images:
            payloads = Payloads.into([scope.borrow(self.photo.nbytes)]) if shared else Payloads()
            self.images[shared] = write_image(self.photo, payloads), payloads
        return self.images[shared]


def process(packet: Packet[pb.ProcessRequest], stages: Stages, scope: Scope) -> Generator[Event, None, None]:
    """Run the chain for one request; yields events as they happen, the Summary last.

    Raises:
        InvalidInput: the request is wrong.
        ServiceFault: describe or detect failed. A failure of one object is an ObjectFault instead.
    """
    job = read_job(packet)
    phrases, objects = job.phrases, job.objects
    if objects is None:
        if not phrases:
            description = describe(job, stages, scope)
            yield Packet(description, Payloads())
            phrases = [description.text]
        detections = detect(job, phrases, stages, scope)
        yield Packet(detections, Payloads())
        objects = list(detections.detections)
    else:
        yield Packet(pb.Detections(detections=objects), Payloads())
    results = faults = 0
    outcomes = finish_merged if job.request.merge else finish_objects
    for outcome in outcomes(job, objects, stages, scope):
        results += isinstance(outcome.message, pb.ObjectResult)
        faults += isinstance(outcome.message, pb.ObjectFault)
        yield outcome
    summary = pb.Summary(
        photo=write_size(job.size),
        objects=results,
        faults=faults,
        seconds=scope.seconds(),
        steps=scope.steps(),
    )
    yield Packet(summary, Payloads())


def read_job(packet: Packet[pb.ProcessRequest]) -> Job:
    """Check a request before any work is done. Raises InvalidInput."""
    request, payloads = packet
    photo = read_image(request.image, payloads)
    if request.boxes and request.masks:
        raise InvalidInput("masks", "came with boxes; give one or the other")
    phrases = read_phrases(request.phrases)
    boxes = read_boxes(request.boxes, size_of(photo))
    check_count(len(request.masks), limits().max_boxes, "masks")
    masks = [read_mask(mask, payloads, size_of(photo), f"masks[{index}]") for index, mask in enumerate(request.masks)]
    boxes += [Box(*mask.region) for mask in masks]
    if boxes and phrases and len(phrases) != len(boxes):
        raise InvalidInput("phrases", f"has {len(phrases)} entries; beside boxes or masks give one each, {len(boxes)}")
    objects = [
        detect_pb2.Detection(
            index=index,
            label=phrases[index] if phrases else UNNAMED,
            phrase_index=index if phrases else -1,
            score=1,
            box=write_box(box),
        )
        for index, box in enumerate(boxes)
    ]
    for name in ("score_threshold", "iou_threshold"):
        read_fraction(request.detect, name, "detect")
    read_describe(request.describe, "describe")
    finish, output = read_finish(request.finish), read_output(request.output)
    output.check_canvas(finish.canvas if finish.center else size_of(photo))
    return Job(
        request=request,
        photo=photo,
        phrases=phrases,
        objects=objects or None,
        masks=masks,
        finish=finish,
        output=output,
        max_objects=read_count(request, "max_objects", MAX_OBJECTS, limits().max_objects),
        max_parallel=read_count(request, "max_parallel", MAX_PARALLEL, limits().max_parallel),
    )


def read_count(request: pb.ProcessRequest, name: str, default: int, most: int) -> int:
    """An optional number of at least 1."""
    if not request.HasField(name):
        return default
    value = getattr(request, name)
    if not 1 <= value <= most:
        raise InvalidInput(name, f"is {value}; it must be from 1 to {most}")
    return value


def describe(job: Job, stages: Stages, scope: Scope) -> pb.Description:
    def build(shared: bool) -> Packet:
        image, payloads = job.image(scope, shared)
        return Packet(describe_pb2.DescribeRequest(image=image, options=job.request.describe), payloads)

    answer = stages.describe.call(build, scope).message
    return pb.Description(text=answer.text, score=answer.score, region=answer.region)


def detect(job: Job, phrases: list[str], stages: Stages, scope: Scope) -> pb.Detections:
    def build(shared: bool) -> Packet:
        image, payloads = job.image(scope, shared)
        return Packet(detect_pb2.DetectRequest(image=image, phrases=phrases, options=job.request.detect), payloads)

    answer = stages.detect.call(build, scope).message
    return pb.Detections(detections=answer.detections[: job.max_objects], warnings=answer.warnings)


def finish_objects(
    job: Job, objects: list[detect_pb2.Detection], stages: Stages, scope: Scope
) -> Iterator[Packet[pb.ObjectResult] | Packet[pb.ObjectFault]]:
    """One outcome an object, in the order in which they get done.

    Postprocess of one object runs beside the segmentation of the next. One object's failure leaves the others alone.
    """
    outcomes: queue.SimpleQueue[Packet] = queue.SimpleQueue()

    def fail(detection: detect_pb2.Detection, fault: fault_pb.Fault, mask: Mask | None = None) -> None:
        outcomes.put(object_fault(detection, fault, mask))

    def finish(detection: detect_pb2.Detection, mask: Mask) -> None:
        try:
            outcomes.put(finish_object(job, detection, mask, stages, scope))
        except Exception as error:
            fail(detection, fault_of(error, fault_pb.STEP_POSTPROCESS), mask)

    def feed(pool: ThreadPoolExecutor) -> None:
        missing = dict(enumerate(objects))
        try:
            for index, outcome in segment(job, objects, stages, scope):
                if isinstance(outcome, Mask):
                    pool.submit(finish, missing.pop(index), outcome)
                else:
                    fail(missing.pop(index), outcome)
            reason: Exception = RuntimeError("segment ended without an answer for this object")
        except Exception as error:
            reason = error
        for detection in missing.values():
            fail(detection, fault_of(reason, fault_pb.STEP_SEGMENT))

    with (
        ThreadPoolExecutor(job.max_parallel, "postprocess") as pool,
        ThreadPoolExecutor(1, "segment") as feeder,
    ):
        try:
            feeder.submit(feed, pool)
            for _ in objects:
                yield outcomes.get()
        except GeneratorExit:  # nobody reads on; without this the pools would finish their work first
            scope.cancel()
            raise


def finish_merged(
    job: Job, objects: list[detect_pb2.Detection], stages: Stages, scope: Scope
) -> Iterator[Packet[pb.ObjectResult] | Packet[pb.ObjectFault]]:
    """A fault for each object without a mask, and one outcome for all others together."""
    missing, found = dict(enumerate(objects)), {}
    reason: Exception = RuntimeError("segment ended without an answer for this object")
    try:
        for index, outcome in segment(job, objects, stages, scope):
            if not isinstance(outcome, Mask):
                yield object_fault(missing.pop(index), outcome)
            elif outcome.empty:
                yield object_fault(missing.pop(index), EMPTY, outcome)
            else:
                found[index] = outcome
                del missing[index]
    except Exception as error:
        reason = error
    for detection in missing.values():
        yield object_fault(detection, fault_of(reason, fault_pb.STEP_SEGMENT))
    if not found:
        return
    detection, mask = merged_detection([objects[index] for index in sorted(found)]), merged_mask(list(found.values()))
    try:
        yield finish_object(job, detection, mask, stages, scope)
    except Exception as error:
        yield object_fault(detection, fault_of(error, fault_pb.STEP_POSTPROCESS), mask)


def object_fault(
    detection: detect_pb2.Detection, fault: fault_pb.Fault, mask: Mask | None = None
) -> Packet[pb.ObjectFault]:
    payloads = Payloads()
    written = write_mask(mask, payloads) if mask else None
    return Packet(pb.ObjectFault(detection=detection, fault=fault, mask=written), payloads)


def segment(
    job: Job, objects: list[detect_pb2.Detection], stages: Stages, scope: Scope
) -> Iterator[tuple[int, Mask | fault_pb.Fault]]:
    """Index and mask, or fault, of each object; the caller's own masks if there are any."""
    if job.masks:
        yield from enumerate(job.masks)
        return
    if not objects:
        return
    boxes = [detection.box for detection in objects]

    def build(shared: bool) -> Packet:
        image, payloads = job.image(scope, shared)
        request = segment_pb2.SegmentRequest(image=image, boxes=boxes)
        if payloads.slots:
            for box in boxes:
                reach = corners(box).padded(MASK_MARGIN).clipped(job.size)
                request.lent.extend(payloads.lend(scope.borrow(int(reach.area))))
        return Packet(request, payloads)

    for answer, payloads in stages.segment.stream(build, scope):
        if answer.HasField("mask"):
            yield answer.index, read_mask(answer.mask, payloads, job.size)
        else:
            yield answer.index, answer.fault


def finish_object(
    job: Job, detection: detect_pb2.Detection, mask: Mask, stages: Stages, scope: Scope
) -> Packet[pb.ObjectResult]:
    """Postprocess one object and make its picture."""
    crop = job.photo[mask.region.slices]
    canvas = job.finish.canvas if job.finish.center else mask.region.size
    layer_bytes = max(LEAST_LAYER_BYTES, 4 * canvas.width * canvas.height)

    def build(shared: bool) -> Packet:
        payloads = Payloads.into([scope.borrow(crop.nbytes + mask.alpha.nbytes + 128)] if shared else [])
        request = postprocess_pb2.PostprocessRequest(
            crop=write_image(crop, payloads),
            mask=write_mask(mask, payloads),
            photo=write_size(job.size),
            finish=job.request.finish,
        )
        if payloads.slots:
            request.lent.extend(payloads.lend(scope.borrow(2 * layer_bytes)))
        return Packet(request, payloads)

    answer, received = stages.postprocess.call(build, scope)
    layers = [read_layer(answer.shadow, received, "shadow")] if answer.HasField("shadow") else []
    layers.append(read_layer(answer.cutout, received, "cutout"))
    wanted, output, payloads = job.request.output, job.output, Payloads()
    result = pb.ObjectResult(detection=detection, placement=answer.placement)
    region = Region.of(read_placement(answer.placement).canvas)
    if output.encoding != "tensor":
        result.picture.encoded = payloads.put(encode(compose(layers, region), output))
    elif output.colour:
        result.picture.tensor.CopyFrom(to_tensor(flatten(compose(layers, region), output.colour), payloads))
    else:
        region = layers[0].region.union(layers[-1].region)
        result.picture.tensor.CopyFrom(to_tensor(compose(layers, region), payloads))
    result.picture.region.CopyFrom(write_region(region))
    if wanted.masks:
        result.mask.CopyFrom(write_mask(mask, payloads))
    if wanted.layers:
        result.cutout.CopyFrom(write_layer(layers[-1], payloads))
        if len(layers) == 2:
            result.shadow.CopyFrom(write_layer(layers[0], payloads))
    result.seconds = scope.seconds()
    return Packet(result, payloads)

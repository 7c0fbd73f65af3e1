"""The chain: photo -> describe -> detect -> segment (per object) -> postprocess (per object) -> cut-outs."""

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from orchestrator.stages import Scope, Stages
from tensorhop.composite import compose
from tensorhop.errors import InvalidInput, fault_of
from tensorhop.geometry import Region, Size, size_of
from tensorhop.image import encode_png, read_image
from tensorhop.messages import (
    check_count,
    read_boxes,
    read_finish,
    read_fraction,
    read_layer,
    read_mask,
    read_phrases,
    read_placement,
    read_region,
    write_box,
    write_image,
    write_region,
    write_size,
)
from tensorhop.settings import limits
from tensorhop.tensor import to_tensor
from tensorhop.v1 import describe_pb2, detect_pb2, image_pb2, postprocess_pb2, segment_pb2
from tensorhop.v1 import fault_pb2 as fault_pb
from tensorhop.v1 import pipeline_pb2 as pb

MAX_OBJECTS = 4
MAX_PARALLEL = 4
UNNAMED = "object"  # label of a box or mask to which the caller gave no phrase

Event = pb.Description | pb.Detections | pb.ObjectResult | pb.ObjectFault | pb.Summary


@dataclass
class Job:
    """One request, checked: the photo, and what is already known about its objects."""

    request: pb.ProcessRequest
    photo: np.ndarray
    image: image_pb2.Image  # the photo as every service gets it
    phrases: list[str]
    objects: list[detect_pb2.Detection] | None  # where the objects are, if the caller said
    masks: list[image_pb2.Mask]  # what the objects are, if the caller said
    max_objects: int
    max_parallel: int

    @property
    def size(self) -> Size:
        return size_of(self.photo)


def process(request: pb.ProcessRequest, stages: Stages, scope: Scope) -> Iterator[Event]:
    """Run the chain for one request; yields events as they happen, the Summary last.

    Raises:
        InvalidInput: the request is wrong.
        ServiceFault: describe or detect failed. A failure of one object is an ObjectFault instead.
    """
    job = read_job(request)
    phrases, objects = job.phrases, job.objects
    if objects is None:
        if not phrases:
            description = describe(job, stages, scope)
            yield description
            phrases = [description.text]
        detections = detect(job, phrases, stages, scope)
        yield detections
        objects = list(detections.detections)
    else:
        yield pb.Detections(detections=objects)
    faults = 0
    for outcome in finish_objects(job, objects, stages, scope):
        faults += isinstance(outcome, pb.ObjectFault)
        yield outcome
    yield pb.Summary(
        photo=write_size(job.size),
        objects=len(objects) - faults,
        faults=faults,
        seconds=scope.seconds(),
        steps=scope.steps(),
    )


def read_job(request: pb.ProcessRequest) -> Job:
    """Check a request before any work is done. Raises InvalidInput."""
    photo = read_image(request.image)
    image = request.image if request.image.WhichOneof("source") == "tensor" else write_image(photo)
    if request.boxes and request.masks:
        raise InvalidInput("masks", "came with boxes; give one or the other")
    phrases = read_phrases(request.phrases)
    boxes = [write_box(box) for box in read_boxes(request.boxes, size_of(photo))]
    check_count(len(request.masks), limits().max_boxes, "masks")
    for index, mask in enumerate(request.masks):
        read_mask(mask, size_of(photo), f"masks[{index}]")
        boxes.append(image_pb2.Box(**read_region(mask.region)._asdict()))
    if boxes and phrases and len(phrases) != len(boxes):
        raise InvalidInput("phrases", f"has {len(phrases)} entries; beside boxes or masks give one each, {len(boxes)}")
    objects = [
        detect_pb2.Detection(
            index=index,
            label=phrases[index] if phrases else UNNAMED,
            phrase_index=index if phrases else -1,
            score=1,
            box=box,
        )
        for index, box in enumerate(boxes)
    ]
    for name in ("score_threshold", "iou_threshold"):
        read_fraction(request.detect, name, "detect")
    read_finish(request.finish)
    if request.output.encoding not in pb.Encoding.values():
        raise InvalidInput(
            "output.encoding", f"is {request.output.encoding}; known are {', '.join(pb.Encoding.keys())}"
        )
    return Job(
        request=request,
        photo=photo,
        image=image,
        phrases=phrases,
        objects=objects or None,
        masks=list(request.masks),
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
    answer = stages.describe.call(describe_pb2.DescribeRequest(image=job.image), scope)
    return pb.Description(text=answer.text, score=answer.score, region=answer.region)


def detect(job: Job, phrases: list[str], stages: Stages, scope: Scope) -> pb.Detections:
    request = detect_pb2.DetectRequest(image=job.image, phrases=phrases, options=job.request.detect)
    answer = stages.detect.call(request, scope)
    return pb.Detections(detections=answer.detections[: job.max_objects], warnings=answer.warnings)


def finish_objects(
    job: Job, objects: list[detect_pb2.Detection], stages: Stages, scope: Scope
) -> Iterator[pb.ObjectResult | pb.ObjectFault]:
    """One outcome an object, in the order in which they get done.

    Postprocess of one object runs beside the segmentation of the next. One object's failure leaves the others alone.
    """
    outcomes: queue.SimpleQueue[pb.ObjectResult | pb.ObjectFault] = queue.SimpleQueue()

    def finish(index: int, mask: image_pb2.Mask) -> None:
        try:
            outcomes.put(finish_object(job, objects[index], mask, stages, scope))
        except Exception as error:
            fault = fault_of(error, fault_pb.STEP_POSTPROCESS)
            outcomes.put(pb.ObjectFault(detection=objects[index], fault=fault, mask=mask))

    def feed(pool: ThreadPoolExecutor) -> None:
        missing = dict(enumerate(objects))
        try:
            for index, outcome in segment(job, objects, stages, scope):
                detection = missing.pop(index)
                if isinstance(outcome, fault_pb.Fault):
                    outcomes.put(pb.ObjectFault(detection=detection, fault=outcome))
                else:
                    pool.submit(finish, index, outcome)
            reason: Exception = RuntimeError("segment ended without an answer for this object")
        except Exception as error:
            reason = error
        for detection in missing.values():
            fault = fault_of(reason, fault_pb.STEP_SEGMENT)
            outcomes.put(pb.ObjectFault(detection=detection, fault=fault))

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


def segment(
    job: Job, objects: list[detect_pb2.Detection], stages: Stages, scope: Scope
) -> Iterator[tuple[int, image_pb2.Mask | fault_pb.Fault]]:
    """Index and mask, or fault, of each object; the caller's own masks if there are any."""
    if job.masks:
        yield from enumerate(job.masks)
    elif objects:
        request = segment_pb2.SegmentRequest(image=job.image, boxes=[detection.box for detection in objects])
        for answer in stages.segment.stream(request, scope):
            yield answer.index, answer.mask if answer.HasField("mask") else answer.fault


def finish_object(
    job: Job, detection: detect_pb2.Detection, mask: image_pb2.Mask, stages: Stages, scope: Scope
) -> pb.ObjectResult:
    """Postprocess one object and make its picture."""
    crop = job.photo[read_region(mask.region).slices]
    answer = stages.postprocess.call(
        postprocess_pb2.PostprocessRequest(
            crop=write_image(crop), mask=mask, photo=write_size(job.size), finish=job.request.finish
        ),
        scope,
    )
    wanted = job.request.output
    result = pb.ObjectResult(detection=detection, picture=paint(answer, wanted.encoding), placement=answer.placement)
    if wanted.masks:
        result.mask.CopyFrom(mask)
    if wanted.layers:
        result.cutout.CopyFrom(answer.cutout)
        if answer.HasField("shadow"):
            result.shadow.CopyFrom(answer.shadow)
    result.seconds = scope.seconds()
    return result


def paint(answer: postprocess_pb2.PostprocessResponse, encoding: pb.Encoding) -> pb.Picture:
    """The object over its shadow: a PNG of the whole canvas, or a tensor of the part that is not empty."""
    layers = [read_layer(answer.shadow, "shadow")] if answer.HasField("shadow") else []
    layers.append(read_layer(answer.cutout, "cutout"))
    if encoding == pb.ENCODING_TENSOR:
        region = layers[0].region.union(layers[-1].region)
        return pb.Picture(tensor=to_tensor(compose(layers, region)), region=write_region(region))
    region = Region.of(read_placement(answer.placement).canvas)
    return pb.Picture(encoded=encode_png(compose(layers, region)), region=write_region(region))

"""The chain: photo -> describe -> detect -> segment (per object) -> postprocess (per object) -> cut-outs."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from google.protobuf.message import Message

from orchestrator.job import Job, read_job
from orchestrator.merge import merged_detection, merged_mask
from orchestrator.scope import Scope
from orchestrator.stages import Stages
from tensorhop.composite import compose, flatten
from tensorhop.cores import cores
from tensorhop.encode import encode
from tensorhop.errors import fault_of
from tensorhop.geometry import Region
from tensorhop.messages import (
    corners,
    read_layer,
    read_mask,
    read_placement,
    write_image,
    write_layer,
    write_mask,
    write_region,
    write_size,
)
from tensorhop.payloads import Payloads
from tensorhop.results import Mask
from tensorhop.tensor import to_tensor
from tensorhop.v1 import describe_pb2, detect_pb2, postprocess_pb2, segment_pb2
from tensorhop.v1 import fault_pb2 as fault_pb
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire import Packet

MASK_MARGIN = 0.5  # of a box's sides, that a mask may reach beyond it, for the size of the slot in which it comes back
# Objects of all requests that are encoded at once: on more threads than cores it is no faster, and the thread that
# takes calls would wait for its turn until gRPC cancels what it did not take for 30 s.
ENCODERS = threading.BoundedSemaphore(cores())
LEAST_LAYER_BYTES = 4 * 1024 * 1024  # room for a layer, also of a small object whose shadow is larger than itself

EMPTY = fault_pb.Fault(
    step=fault_pb.STEP_SEGMENT,
    code=fault_pb.CODE_INVALID_ARGUMENT,
    field="mask.alpha",
    message="mask.alpha is empty: nothing in it is above 0.05; it is left out of what is merged",
)

NO_OBJECT = fault_pb.Fault(
    step=fault_pb.STEP_SEGMENT,
    code=fault_pb.CODE_NOT_FOUND,
    message="no pixel in the box belongs to an object, as segment sees it",
)

Event = Packet  # of a Description, Detections, ObjectResult, ObjectFault or Summary


def process(packet: Packet[pb.ProcessRequest], stages: Stages, scope: Scope) -> Generator[Event, None, None]:
    """Run the chain for one request; yields events as they happen, the Summary last.

    Raises:
        InvalidInput: the request is wrong.
        ServiceFault: describe or detect failed. A failure of one object is an ObjectFault instead.
    """
    job = read_job(packet, stages.cache, scope)
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
    found = outcomes(job, objects, stages, scope)
    for outcome in in_order(found) if job.request.ordered else found:
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


def in_order(outcomes: Iterable[Packet]) -> Iterator[Packet]:
    """Hold back what is done before those of lower index."""
    waiting: dict[int, Packet] = {}
    following = 0
    for outcome in outcomes:
        waiting[outcome.message.detection.index] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1
    yield from (waiting[index] for index in sorted(waiting))


def describe(job: Job, stages: Stages, scope: Scope) -> pb.Description:
    def build(shared: bool) -> Packet:
        image, payloads = job.image(scope, shared)
        return Packet(describe_pb2.DescribeRequest(image=image, options=job.request.describe), payloads)

    def ask() -> describe_pb2.DescribeResponse:
        return stages.describe.call(build, scope).message

    parameters = [canonical(job.request.describe)]
    answer = job.recall.message(stages.describe, parameters, describe_pb2.DescribeResponse, ask)
    return pb.Description(text=answer.text, score=answer.score, region=answer.region)


def detect(job: Job, phrases: list[str], stages: Stages, scope: Scope) -> pb.Detections:
    def build(shared: bool) -> Packet:
        image, payloads = job.image(scope, shared)
        return Packet(detect_pb2.DetectRequest(image=image, phrases=phrases, options=job.request.detect), payloads)

    def ask() -> detect_pb2.DetectResponse:
        return stages.detect.call(build, scope).message

    parameters = [canonical(job.request.detect), *(phrase.encode() for phrase in phrases)]
    answer = job.recall.message(stages.detect, parameters, detect_pb2.DetectResponse, ask)
    return pb.Detections(detections=answer.detections[: job.max_objects], warnings=answer.warnings)


def finish_objects(
    job: Job, objects: list[detect_pb2.Detection], stages: Stages, scope: Scope
) -> Iterator[Packet[pb.ObjectResult] | Packet[pb.ObjectFault]]:
    """One outcome an object, in the order in which they get done.

    Postprocess of one object runs beside the segmentation of the next. The first has postprocess to itself: where masks
    come together, it would otherwise take as long as several. One object's failure leaves the others alone.
    """
    outcomes: queue.SimpleQueue[Packet] = queue.SimpleQueue()
    first_done = threading.Event()

    def fail(detection: detect_pb2.Detection, fault: fault_pb.Fault, mask: Mask | None = None) -> None:
        outcomes.put(object_fault(detection, fault, mask))

    def finish(detection: detect_pb2.Detection, mask: Mask, leads: bool) -> None:
        if not leads:
            first_done.wait()
        try:
            outcomes.put(finish_object(job, detection, mask, stages, scope))
        except Exception as error:
            fail(detection, fault_of(error, fault_pb.STEP_POSTPROCESS), mask)
        finally:
            first_done.set()

    def feed(pool: ThreadPoolExecutor) -> None:
        missing = dict(enumerate(objects))
        leads = True
        try:
            for index, outcome in segment(job, objects, stages, scope):
                if isinstance(outcome, Mask) and outcome.region.empty:
                    fail(missing.pop(index), NO_OBJECT, outcome)
                elif isinstance(outcome, Mask):
                    pool.submit(finish, missing.pop(index), outcome, leads)
                    leads = False
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

    def ask(wanted: Sequence[int]) -> Iterator[tuple[int, Mask | fault_pb.Fault]]:
        missing = list(wanted)

        def build(shared: bool) -> Packet:
            image, payloads = job.image(scope, shared)
            request = segment_pb2.SegmentRequest(image=image, boxes=[boxes[index] for index in missing])
            if payloads.slots:
                for box in request.boxes:
                    reach = corners(box).padded(MASK_MARGIN).clipped(job.size)
                    request.lent.extend(payloads.lend(scope.borrow(int(reach.area))))
            return Packet(request, payloads)

        def attempt() -> Iterator[tuple[int, Mask | fault_pb.Fault]]:
            asked = tuple(missing)  # a stream that breaks is taken up again for those that it did not bring
            for answer, payloads in stages.segment.stream(build, scope):
                index = asked[answer.index]
                missing.remove(index)
                yield index, read_mask(answer.mask, payloads, job.size) if answer.HasField("mask") else answer.fault

        yield from stages.segment.retry.stream(attempt, scope)

    parameters = {index: [canonical(box)] for index, box in enumerate(boxes)}
    yield from job.recall.masks(stages.segment, parameters, job.size, ask)


def canonical(message: Message) -> bytes:
    """A message's bytes, the same for the same content."""
    return message.SerializeToString(deterministic=True)


def finish_object(
    job: Job, detection: detect_pb2.Detection, mask: Mask, stages: Stages, scope: Scope
) -> Packet[pb.ObjectResult]:
    """Postprocess one object and make its picture."""
    crop = job.photo[mask.region.slices]
    canvas = job.finish.canvas if job.finish.center else mask.region.size
    layer_bytes = max(LEAST_LAYER_BYTES, 4 * canvas.width * canvas.height)
    sent: list[Payloads] = []  # an attempt each

    def build(shared: bool) -> Packet:
        payloads = Payloads.into([scope.borrow(crop.nbytes + mask.alpha.nbytes + 128)] if shared else [])
        sent.append(payloads)
        request = postprocess_pb2.PostprocessRequest(
            crop=write_image(crop, payloads),
            mask=write_mask(mask, payloads),
            photo=write_size(job.size),
            finish=finish_of(job),
        )
        if payloads.slots:
            request.lent.extend(payloads.lend(scope.borrow(2 * layer_bytes)))
        return Packet(request, payloads)

    answer, received = stages.postprocess.call(build, scope, object=detection.index)
    layers = [read_layer(answer.shadow, received, "shadow")] if answer.HasField("shadow") else []
    layers.append(read_layer(answer.cutout, received, "cutout"))
    wanted, output, payloads = job.request.output, job.output, Payloads()
    result = pb.ObjectResult(detection=detection, placement=answer.placement)
    region = Region.of(read_placement(answer.placement).canvas)
    if output.encoding != "tensor":
        with ENCODERS:
            file = encode(compose(layers, region), output)
        result.picture.encoded = payloads.put(file)
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
    else:  # nothing that goes on lies in them
        scope.give_back(slot for attempt in sent for slot in attempt.slots)
    result.seconds = scope.seconds()
    return Packet(result, payloads)


def finish_of(job: Job) -> postprocess_pb2.Finish:
    """The caller's choices; without one about it, masks that segment made are refined, and the caller's own are not."""
    finish = postprocess_pb2.Finish()
    finish.CopyFrom(job.request.finish)
    if not finish.HasField("refine"):
        finish.refine = not job.masks
    return finish

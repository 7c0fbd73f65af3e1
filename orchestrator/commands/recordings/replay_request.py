"""The request that runs a recording again from a step on, with what came before as the caller's."""

from dataclasses import dataclass

from tensorhop.orchestrator.recording.objects import RecordedObject, objects_of
from tensorhop.orchestrator.recording.recording import Recording, RecordingError
from tensorhop.v1 import pipeline_pb2
from tensorhop.values.geometry import Region
from tensorhop.values.images import decode_photo
from tensorhop.values.results import Mask
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_mask

STEPS = ("describe", "detect", "segment", "postprocess")


@dataclass(frozen=True)
class Replay:
    """What is run again."""

    packet: Packet[pipeline_pb2.ProcessRequest]
    start: str  # the first step that runs
    objects: list[int] | None  # which recorded object each one of the request is; None if the steps find them
    notes: list[str]  # what differs in kind from the recorded request, a sentence each


def replay_of(recording: Recording, start: str | None) -> Replay:
    """The request that runs a recording of the pipeline again.

    Args:
        start: the first step that runs; the first one that ran if not given.

    Raises:
        RecordingError: the request did not come to that step, or something that it needs was not kept.
    """
    if recording.chain != "pipeline":
        raise RecordingError(f"{recording.id} is of the chain {recording.chain}; only the pipeline's are replayed")
    try:
        packet = recording.request()
    except RecordingError as error:
        hint = "" if recording.has_pixels else "; give the same file as it was sent: --image FILE"
        raise RecordingError(f"the photo is missing: {error}{hint}") from error
    request, first = packet.message, first_step(packet.message)
    start = start or first
    if STEPS.index(start) < STEPS.index(first):
        raise RecordingError(
            f"--from is {start}, but {recording.id} began with {first}: the caller gave what is before"
        )
    if start == first:
        return Replay(as_replay(packet), start, None, [])
    if start == "detect":
        if not any(step.get("service") == "detect" for step in recording.document["steps"]):
            raise RecordingError(f"detect did not run for {recording.id}: the photo's own alpha told the object")
        request.phrases.append(description_of(recording))
        return Replay(as_replay(packet), start, None, [])
    if start == "segment":
        return Replay(as_replay(packet), start, *from_boxes(recording, request))
    objects = [one for one in objects_of(recording) if reached_postprocess(one)]
    if not objects:
        raise RecordingError(f"no object of {recording.id} came to postprocess")
    alone = [] if len(objects) == len(objects_of(recording)) else ["Objects whose fault came before stay faults."]
    give_masks(packet, objects, recording)
    return Replay(as_replay(packet), start, [one.index for one in objects], alone)


def first_step(request: pipeline_pb2.ProcessRequest) -> str:
    """The first step that a request needs."""
    if request.masks:
        return "postprocess"
    return "segment" if request.boxes else "detect" if request.phrases else "describe"


def as_replay(packet: Packet[pipeline_pb2.ProcessRequest]) -> Packet[pipeline_pb2.ProcessRequest]:
    """The packet, computed anew, with all that can be compared."""
    request = packet.message
    request.request_id, request.no_cache, request.record = "", True, False
    request.output.masks = request.output.layers = True
    return packet


def description_of(recording: Recording) -> str:
    for event in recording.events("description"):
        return str(event.get("text", ""))
    raise RecordingError(f"{recording.id} ended before describe had answered")


def from_boxes(recording: Recording, request: pipeline_pb2.ProcessRequest) -> tuple[list[int], list[str]]:
    """Have a request begin with segment. Returns the objects, and notes."""
    detections = [one for event in recording.events("detections") for one in event.get("detections", ())]
    if not detections:
        raise RecordingError(f"{recording.id} has no objects that segment could begin with")
    del request.phrases[:]
    for one in detections:
        request.boxes.add(**one.get("box", {}))
        request.phrases.append(one.get("label") or "object")
    request.may_grow = True
    by_detect = sum(event.get("detect_masks", 0) for event in recording.events("summary"))
    notes = [f"The masks of {by_detect} objects were detect's; now segment makes them."] if by_detect else []
    return [one.get("index", 0) for one in detections], notes


def reached_postprocess(one: RecordedObject) -> bool:
    return one.mask is not None and (one.fault is None or one.fault.get("service") == "postprocess")


def give_masks(
    packet: Packet[pipeline_pb2.ProcessRequest], objects: list[RecordedObject], recording: Recording
) -> None:
    """Have a request begin with postprocess.

    Masks that a caller gives are not refined, unless it says so; those of segment are.
    """
    request, payloads = packet
    if not request.finish.HasField("refine"):
        encoded = request.image.WhichOneof("source") == "encoded"
        opaque = not encoded or decode_photo(payloads.get(request.image.encoded)).alpha is None
        request.finish.refine = opaque
    request.merge = False  # what was merged is one object now
    del request.phrases[:]
    del request.boxes[:]
    for one in objects:
        assert one.mask is not None
        try:
            mask = Mask(one.mask.array(), one.mask.region or Region(0, 0, *reversed(one.mask.shape)))
        except RecordingError as error:
            raise RecordingError(f"the mask of object {one.index} is missing: {error}") from error
        request.masks.append(write_mask(mask, payloads))
        request.phrases.append(one.label or "object")

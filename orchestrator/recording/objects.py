"""The objects of a recording of the pipeline: what each step made of them."""

from dataclasses import dataclass

from tensorhop.orchestrator.recording.document import Document
from tensorhop.orchestrator.recording.recording import Part, Recording


@dataclass
class RecordedObject:
    """One object on its way through the chain, as far as it came."""

    index: int
    detection: Document
    mask: Part | None = None  # as postprocess got it
    cutout: Part | None = None
    shadow: Part | None = None
    picture: Part | None = None
    fault: Document | None = None
    finished: bool = False

    @property
    def label(self) -> str:
        return str(self.detection.get("label", ""))


def objects_of(recording: Recording) -> list[RecordedObject]:
    """The objects in the order of their index. Those that were merged into one are one."""
    found: dict[int, RecordedObject] = {}
    for event in recording.events("detections"):
        for detection in event.get("detections", ()):
            found[detection.get("index", 0)] = RecordedObject(detection.get("index", 0), detection)
    if recording.document["request"].get("merge") and list(recording.events("object")):
        found = {}
    for kind in ("object", "fault"):
        for event in recording.events(kind):
            detection = event.get("detection", {})
            one = found.setdefault(detection.get("index", 0), RecordedObject(detection.get("index", 0), detection))
            one.detection = detection
            one.mask = recording.part(event.get("mask")) or one.mask
            if kind == "fault" and not one.finished:
                one.fault = event["fault"]
            elif kind == "object":
                one.finished = True
                one.picture = recording.part(event.get("picture"))
                one.cutout, one.shadow = recording.part(event.get("cutout")), recording.part(event.get("shadow"))
    for call in recording.document["calls"]:
        index = call.get("about", {}).get("object", -1)
        if index not in found or call["service"] != "postprocess":
            continue
        one = found[index]
        one.mask = one.mask or recording.part(call["request"].get("mask"))
        for answer in call["answers"]:
            one.cutout = recording.part(answer.get("cutout"))
            one.shadow = recording.part(answer.get("shadow"))
    return [found[index] for index in sorted(found)]

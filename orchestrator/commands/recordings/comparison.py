"""What a recording and its replay have in common, and where they part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tensorhop.orchestrator.commands.recordings.cutouts_section import corners
from tensorhop.orchestrator.commands.recordings.pictures import pixels_of
from tensorhop.orchestrator.commands.recordings.replay_request import STEPS
from tensorhop.orchestrator.recording.document import Document
from tensorhop.orchestrator.recording.objects import RecordedObject, objects_of
from tensorhop.orchestrator.recording.recording import Part, Recording, RecordingError
from tensorhop.values.geometry import Region

ANSWER = "picture"  # what the caller got, after all steps
PARTS = {"segment": ("mask",), "postprocess": ("cutout", "shadow"), ANSWER: ("picture",)}


@dataclass(frozen=True)
class Finding:
    """What a step made, of an object or of the photo, in both."""

    step: str  # or ANSWER
    item: str  # "object 0"; "" for the photo
    same: bool
    words: str  # what is the same, or how they differ

    def __str__(self) -> str:
        where = f"{self.step} {self.item}".strip()
        return f"{where:<24} {'same' if self.same else 'DIFFERS'}  {self.words}".rstrip()


def compare(then: Recording, now: Recording, start: str, objects: Sequence[int] | None) -> list[Finding]:
    """All findings in the order of the steps.

    Args:
        start: the first step that was run again; what is before it is not compared.
        objects: which object of `then` each one of `now` is; the same ones if None.
    """
    if then.fault is not None or now.fault is not None:
        return [whole_fault(then.fault, now.fault)]
    findings: list[Finding] = []
    if start == "describe":
        findings += descriptions(then, now)
    if start in STEPS[:2]:
        findings.append(detections(then, now))
    before = {one.index: one for one in objects_of(then)}
    after = {one.index if objects is None else objects[one.index]: one for one in objects_of(now)}
    for step, names in PARTS.items():
        if step in STEPS and STEPS.index(step) < STEPS.index(start):
            continue
        for index in sorted(before.keys() | after.keys()):
            findings += object_findings(step, names, index, before.get(index), after.get(index), objects is not None)
    return findings


def whole_fault(then: Document | None, now: Document | None) -> Finding:
    step = str((then or now or {}).get("service", "")) or "request"
    return Finding(step, "", same_fault(then, now), f"then {told(then)}, now {told(now)}")


def descriptions(then: Recording, now: Recording) -> list[Finding]:
    one, other = (next(recording.events("description"), None) for recording in (then, now))
    if one is None and other is None:
        return []
    words = f"{one.get('text', '')!r}" if one else "nothing"
    if one != other:
        words += f" then, {other.get('text', '')!r} now" if other else " then, nothing now"
    return [Finding("describe", "", one == other, words)]


def detections(then: Recording, now: Recording) -> Finding:
    """Boxes, labels and scores, in their order."""
    one, other = (
        [each for event in of.events("detections") for each in event.get("detections", ())] for of in (then, now)
    )
    if len(one) != len(other):
        return Finding("detect", "", False, f"{len(one)} objects then, {len(other)} now")
    for index, (before, after) in enumerate(zip(one, other, strict=True)):
        if before == after:
            continue
        if before.get("label") != after.get("label"):
            words = f"{before.get('label')!r} then, {after.get('label')!r} now"
        else:
            pairs = zip(corners(before.get("box", {})), corners(after.get("box", {})), strict=True)
            edge = max(abs(first - second) for first, second in pairs)
            scores = f"{before.get('score', 0):.4f} then, {after.get('score', 0):.4f} now"
            words = f"edges of the box by at most {edge:g} pixels; score {scores}"
        return Finding("detect", f"object {index}", False, words)
    return Finding("detect", "", True, f"{len(one)} objects" if len(one) != 1 else "1 object")


def object_findings(
    step: str,
    names: Sequence[str],
    index: int,
    then: RecordedObject | None,
    now: RecordedObject | None,
    given: bool,
) -> list[Finding]:
    """What a step made of an object. A fault is told at its step.

    Args:
        given: whether the objects were given to the replay; those that were not are faults of an earlier step.
    """
    item = f"object {index}"
    if then is None or now is None:
        fault = then.fault if then else None
        if given and fault is not None:  # it ended before the replay begins
            return [Finding(step, item, True, f"{told(fault)}, which stays")] if step == "postprocess" else []
        return [Finding(step, item, False, "only then" if then else "only now")] if step == "segment" else []
    faults = [one.fault for one in (then, now)]
    if any(faults):
        at = next(str(fault.get("service", "")) for fault in faults if fault)
        if step == at:
            words = (
                f"{told(then.fault)}, again"
                if same_fault(*faults)
                else f"then {told(then.fault)}, now {told(now.fault)}"
            )
            return [Finding(step, item, same_fault(*faults), words)]
        if step == ANSWER or at not in STEPS or STEPS.index(step) > STEPS.index(at):
            return []
    found = [(name, *difference(getattr(then, name), getattr(now, name))) for name in names]
    same = all(equal for _, equal, _ in found)
    words = "; ".join(f"{name} {said}" for name, equal, said in found if said and equal == same)
    return [Finding(step, item, same, words)] if any(said for _, _, said in found) else []


def difference(then: Part | None, now: Part | None) -> tuple[bool, str]:
    """Whether two parts are the same, and in words what they are or how they differ; "" where neither is there."""
    if then is None or now is None:
        return then is now, "" if then is now else "only then" if then else "only now"
    if (then.digest, then.dtype, then.region) == (now.digest, now.dtype, now.region):
        return True, then.digest[:12]
    digests = f"{then.digest[:12]} then, {now.digest[:12]} now"
    try:
        one, other = pixels_of(then), pixels_of(now)
    except (RecordingError, OSError) as error:
        return False, f"{digests}; {error}"
    if one is None or other is None:
        return False, f"{digests}; the recording has no pixels to compare"
    moved = ""
    if then.region != now.region and then.region and now.region:
        moved = f"; at {tuple(then.region)} then, at {tuple(now.region)} now"
        whole = then.region.union(now.region)
        one, other = placed(one, then.region, whole), placed(other, now.region, whole)
    if one.shape != other.shape:
        return False, f"is of shape {list(one.shape)} then, {list(other.shape)} now"
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16))
    pixels = apart.max(axis=-1) if apart.ndim == 3 else apart
    count = int((pixels > 0).sum())
    if not count:
        return False, f"{digests}; the same pixels in another file or type{moved}"
    return False, f"by at most {int(apart.max())} of 255, in {count:,} of {pixels.size:,} pixels{moved}"


def placed(pixels: np.ndarray, region: Region, whole: Region) -> np.ndarray:
    """Pixels in a larger region, which is 0 around them."""
    found = np.zeros((*reversed(whole.size), *pixels.shape[2:]), np.uint8)
    found[region.y0 - whole.y0 : region.y1 - whole.y0, region.x0 - whole.x0 : region.x1 - whole.x0] = pixels
    return found


def same_fault(then: Document | None, now: Document | None) -> bool:
    """Whether both are faults of the same service, code and field. What their messages say may have times in it."""
    if then is None or now is None:
        return then is now
    return all(then.get(name, "") == now.get(name, "") for name in ("service", "code", "field"))


def told(fault: Document | None) -> str:
    """A fault in a few words."""
    if fault is None:
        return "done"
    code = str(fault.get("code", "")).removeprefix("CODE_")
    return f"{code} of {fault['service']}" if fault.get("service") else code

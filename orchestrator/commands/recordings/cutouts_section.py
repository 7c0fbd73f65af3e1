"""What a page shows of the chain of cut-outs: the photo with its boxes, and each object's way."""

from functools import partial

import numpy as np

from tensorhop.orchestrator.commands.recordings.markup import Markup, tag
from tensorhop.orchestrator.commands.recordings.notices import fault_notice
from tensorhop.orchestrator.commands.recordings.pictures import MOST_SIDE, data_uri, figure, photo_of, pixels_of
from tensorhop.orchestrator.recording.document import Document
from tensorhop.orchestrator.recording.objects import RecordedObject, objects_of
from tensorhop.orchestrator.recording.recording import Recording, RecordingError
from tensorhop.orchestrator.run.overview import colour_of
from tensorhop.values.geometry import Size, size_of

LABEL = 0.06  # of the photo's height, that a label needs above its box
EDGES = ("x0", "y0", "x1", "y1")


def cutouts_section(recording: Recording) -> list[Markup]:
    objects = objects_of(recording)
    try:
        photo = photo_of(recording, recording.document["request"].get("image", {}))
        broken: list[Markup] = []
    except (RecordingError, ValueError) as error:  # the photo may be why the request failed
        photo, broken = None, [tag("p", f"The photo cannot be shown: {error}", "soft")]
    parts = [tag("h2", "Photo"), *broken]
    size = size_of(photo) if photo is not None else size_told(recording)
    if size is not None:
        parts.append(drawn(photo, size, objects))
    parts += [tag("p", words) for words in said(recording)]
    parts += [
        tag("p", warning, "soft") for event in recording.events("detections") for warning in event.get("warnings", ())
    ]
    parts.append(tag("h2", "Objects"))
    if not objects:
        parts.append(tag("p", "None was found." if not recording.fault else "None was found before the fault.", "soft"))
    for one in objects:
        parts += way_of(one)
    return parts


def said(recording: Recording) -> list[str]:
    """What was looked for: what describe said, or what the caller did."""
    told = [
        f"describe says: {event.get('text', '')} ({event.get('score', 0):.2f})"
        for event in recording.events("description")
    ]
    request = recording.document["request"]
    given = [name for name in ("phrases", "boxes", "masks") if request.get(name)]
    if "phrases" in given:
        told.append(f"The caller looks for: {', '.join(request['phrases'])}")
    if len(given) > ("phrases" in given):
        told.append(f"The caller gave {' and '.join(name for name in given if name != 'phrases')}.")
    return told


def size_told(recording: Recording) -> Size | None:
    """The size of the photo where it is not there itself; None if nothing tells it."""
    for summary in recording.events("summary"):
        return Size(summary["photo"]["width"], summary["photo"]["height"])
    for call in recording.document["calls"]:
        if shape := call.get("request", {}).get("image", {}).get("tensor", {}).get("shape"):
            return Size(int(shape[1]), int(shape[0]))
    return None


def drawn(photo: np.ndarray | None, size: Size, objects: list[RecordedObject]) -> Markup:
    """The photo, or its outline, with a box and a label for each object."""
    shapes, labels = [], []
    for one in reversed(objects):  # the best lies on top
        x0, y0, x1, y1 = corners(one.detection.get("box", {}))
        colour = f"rgb{colour_of(one.index)}"
        box = {"x": x0, "y": y0, "width": max(0, x1 - x0), "height": max(0, y1 - y0), "stroke": colour}
        shapes.append(tag("rect", "", "fault" if one.fault else "", **box))
        below = "" if y0 > LABEL * size.height else "transform:none;"
        place = f"left:{100 * x0 / size.width:.2f}%;top:{100 * y0 / size.height:.2f}%;{below}background:{colour}"
        labels.append(tag("span", f"{one.index}  {one.label}  {one.detection.get('score', 0):.2f}", style=place))
    boxes = tag("svg", shapes, viewBox=f"0 0 {size.width} {size.height}", preserveAspectRatio="none")
    if photo is None:
        ground = tag("div", "", "empty", style=f"aspect-ratio:{size.width}/{size.height}")
    else:
        ground = tag("img", src=data_uri(photo, MOST_SIDE), alt="the photo")
    return tag("div", [ground, boxes, *labels], "photo")


def way_of(one: RecordedObject) -> list[Markup]:
    """The pictures of an object from its mask to what the caller got, or the fault that ended it."""
    box = ", ".join(f"{edge:.0f}" for edge in corners(one.detection.get("box", {})))
    score = f" score {one.detection.get('score', 0):.3f} · box {box}"
    found = [tag("h3", [f"{one.index} {one.label} ", tag("small", score)])]
    parts = {"mask": one.mask, "cut-out": one.cutout, "shadow": one.shadow, "picture": one.picture}
    pictures = []
    for name, part in parts.items():
        if part is not None and 0 not in part.shape:
            shape = f" {part.shape[1]} x {part.shape[0]}" if len(part.shape) > 1 else ""
            kind = "" if name == "mask" else "clear"
            pictures.append(figure(partial(pixels_of, part), f"{name}{shape} · {part.digest[:12]}", kind=kind))
    if pictures:
        found.append(tag("div", pictures, "row"))
    if one.fault:
        found.append(fault_notice("Failed", one.fault))
    return found


def corners(box: Document) -> tuple[float, float, float, float]:
    """A box of the document, in which an edge that is 0 is not said."""
    x0, y0, x1, y1 = (float(box.get(edge, 0)) for edge in EDGES)
    return x0, y0, x1, y1

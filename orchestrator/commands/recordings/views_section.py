"""What a page shows of the chain of views: panoramas, and the pairs, scores and views of each interval."""

from functools import partial

from tensorhop.orchestrator.commands.recordings.markup import Markup, tag
from tensorhop.orchestrator.commands.recordings.notices import fault_notice
from tensorhop.orchestrator.commands.recordings.pictures import MOST_SIDE, figure, photo_of, pixels_of
from tensorhop.orchestrator.recording.document import Document
from tensorhop.orchestrator.recording.recording import Recording

MOST_VIEWS = 60  # pictures of an interval


def views_section(recording: Recording) -> list[Markup]:
    parts = [tag("h2", "Panoramas")]
    for number, image in enumerate(recording.document["request"].get("panoramas", ())):
        parts.append(figure(partial(photo_of, recording, image), f"panorama {number}", MOST_SIDE, "wide"))
    intervals = sorted(
        {
            event[kind]["interval"]
            for event in recording.document["events"]
            for kind in event
            if isinstance(event[kind], dict) and "interval" in event[kind]
        }
    )
    parts.append(tag("h2", "Intervals"))
    for interval in intervals:
        parts += interval_of(recording, interval)
    return parts


def interval_of(recording: Recording, interval: int) -> list[Markup]:
    """The pairs of an interval with their scores, what it shows, and its views."""

    def of(kind: str) -> list[Document]:
        return [event for event in recording.events(kind) if event.get("interval") == interval]

    decision = "".join(f" {'kept' if one.get('kept') else 'not kept'}" for one in of("decision"))
    texts = "".join(f" · {one.get('text', '')}" for one in of("description"))
    found = [tag("h3", [f"interval {interval} ", tag("small", decision + texts)])]
    scores = {one.get("panorama", 0): one.get("quality", {}) for one in of("score")}
    pictures = []
    for pair in of("pair"):
        quality = scores.get(pair.get("panorama", 0), {})
        said = f" · score {quality['score']:.2f}" if "score" in quality else ""
        part = recording.part(pair.get("pair"))
        pictures.append(figure(partial(pixels_of, part), f"pair of panorama {pair.get('panorama', 0)}{said}"))
    views = sorted(of("view"), key=lambda one: (one.get("panorama", 0), one.get("weight_idx", 0), one.get("scale", 1)))
    for view in views[:MOST_VIEWS]:
        times = f" x {view['scale']}" if view.get("scale", 1) > 1 else ""
        caption = f"view {view.get('weight_idx', 0)} of panorama {view.get('panorama', 0)}{times}"
        pictures.append(figure(partial(pixels_of, recording.part(view.get("view"))), caption))
    found.append(tag("div", pictures, "row"))
    if len(views) > MOST_VIEWS:
        found.append(tag("p", f"{len(views) - MOST_VIEWS} more views are in the recording.", "soft"))
    return found + [fault_notice("Failed", one.get("fault", {})) for one in of("fault")]

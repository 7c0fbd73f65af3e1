"""When each call of a request was under way, and when the caller got an answer."""

from tensorhop.orchestrator.commands.recordings.markup import Markup, tag
from tensorhop.orchestrator.recording.document import Document

MOST_ROWS = 200  # calls


def timeline(document: Document) -> Markup:
    """A bar for each call, from the request's start to its end."""
    whole = max(document["seconds"], 1e-6)
    cells: list[Markup] = []
    for call in document["calls"][:MOST_ROWS]:
        cached, seconds = call.get("cached", False), call.get("seconds", 0.0)
        bad = call.get("code", "OK") != "OK"
        kind = "cached" if cached else "bad" if bad else ""
        place = f"left:{place_of(call['at'], whole)};" + ("" if cached else f"width:{place_of(seconds, whole)}")
        said = "from the cache" if cached else f"{seconds:.3f} s" + (f" {call['code']}" if bad else "")
        cells += [
            tag("span", [call["service"], tag("span", about(call), "soft")]),
            tag("div", tag("i", "", kind, style=place, title=f"from {call['at']:.3f} s"), "track"),
            tag("span", said, "bad" if bad else "soft"),
        ]
    ticks = []
    for event in document["events"]:
        name = next((key for key in event if key != "at"), "")
        place = f"left:calc({place_of(event['at'], whole)} - 1px)"
        ticks.append(tag("i", "", "event", style=place, title=f"{name} at {event['at']:.3f} s"))
    cells += [tag("span", "answers", "soft"), tag("div", ticks, "track"), tag("span", f"{whole:.3f} s", "soft")]
    left = len(document["calls"]) - MOST_ROWS
    more = [tag("p", f"{left} more calls are in the recording.", "soft")] if left > 0 else []
    return tag("div", [tag("div", cells, "time"), *more])


def about(call: Document) -> str:
    """Which item a call was for: " object 0"."""
    return "".join(f" {name} {number}" for name, number in call.get("about", {}).items())


def place_of(seconds: float, whole: float) -> str:
    return f"{100 * min(1.0, max(0.0, seconds / whole)):.3f}%"

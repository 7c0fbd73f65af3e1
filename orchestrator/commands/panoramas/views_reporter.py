"""What `tensorhop views` says while it works: lines for people on standard error, JSON for programs."""

import json
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.views.events import (
    IntervalDecision,
    PairResult,
    PairScore,
    ViewDescription,
    ViewFault,
    ViewResult,
    ViewsSummary,
)
from tensorhop.orchestrator.run.reporter import make_progress, print_line


class ViewsReporter:
    """Reports the events of a request. A context.

    Args:
        as_json: print the events on standard output.
        intervals: how many there are.
        min_score: below which an interval is not kept.
    """

    def __init__(self, as_json: bool, intervals: int, min_score: float) -> None:
        self.as_json, self.intervals, self.min_score = as_json, intervals, min_score
        self.scores: list[float] = []  # of the intervals that are not kept
        self.console = Console(stderr=True, highlight=False)
        self.progress = make_progress(self.console, as_json)
        self.bar = self.progress.add_task("working", total=intervals)
        self.decided = self.views = 0
        self.last = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def event(self, event: Any, file: str) -> None:
        """Report one event; `file` is where its picture was written."""
        now = time.monotonic()
        seconds, self.last = now - self.last, now
        if self.as_json:
            row = event_json(event)
            print(json.dumps(row | {"file": file} if file else row), flush=True)
        elif isinstance(event, ViewsSummary):
            models = dict.fromkeys(step.model for step in event.steps if step.model)
            self.line(
                "done",
                f"{event.kept} of {event.intervals} intervals kept, {event.views} views, {event.upscaled} enlarged"
                + (f", {event.faults} failed" if event.faults else "")
                + (f"; models: {', '.join(models)}" if models else ""),
                event.seconds,
            )
            if not event.kept and self.scores:
                self.console.print(
                    f"No interval is kept: the best score is {max(self.scores):.2f}, and --min-score is "
                    f"{self.min_score:g}. Give a lower --min-score, or --min-score 0 to keep all.",
                    soft_wrap=True,
                )
        else:
            style = "red" if isinstance(event, ViewFault) else ""
            text = told(event, self.min_score) + (f" -> {file}" if file else "")
            self.line(f"interval {event.interval}", text, seconds, style)
        if isinstance(event, IntervalDecision):
            self.decided += 1
            if not event.kept and event.score is not None:
                self.scores.append(event.score)
        self.views += isinstance(event, ViewResult)
        said = f"{self.decided}/{self.intervals} intervals, {self.views} views"
        self.progress.update(self.bar, completed=self.decided, description=said)

    def failed(self, row: dict[str, Any]) -> None:
        """Report that the request failed as a whole."""
        if self.as_json:
            print(json.dumps(row), flush=True)
        else:
            self.console.print(f"[red]{escape(row['message'])} ({row['code']})[/red]", soft_wrap=True)

    def line(self, head: str, text: str, seconds: float, style: str = "") -> None:
        print_line(self.console, head, text, seconds, style)


def told(event: Any, min_score: float) -> str:
    """An event of an interval in a few words."""
    match event:
        case PairResult():
            return f"pair {event.panorama + 1}"
        case PairScore():
            score = "no score" if event.score is None else f"score {event.score:.2f}"
            return f"pair {event.panorama + 1}: {score}"
        case IntervalDecision():
            if event.kept:
                return "kept"
            if event.score is None:
                return "not kept: a pair or its score is missing"
            return f"not kept: score {event.score:.2f}, and --min-score is {min_score:g}"
        case ViewDescription():
            return f"shows {event.text} ({event.score:.2f})"
        case ViewResult():
            larger = f" x{event.scale}" if event.scale > 1 else ""
            return f"view {event.panorama + 1}-{event.weight_idx}{larger}"
        case ViewFault():
            return f"{event.step} failed: {event.message} ({event.code})"
    return ""

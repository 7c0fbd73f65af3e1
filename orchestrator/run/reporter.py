"""What a run says while it works: lines for people on standard error, JSON for programs, and a manifest's results."""

import json
import time
from collections import Counter
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.cutouts.events import Event
from tensorhop.orchestrator.run.inputs import LeftOut
from tensorhop.orchestrator.run.photo_request import PhotoTask
from tensorhop.orchestrator.run.summary import DONE, FAILED, NOTHING, result_line
from tensorhop.values.results import Description, Detection, Detections, ObjectFault, ObjectResult, Summary

SKIPPED = "skipped"


class Results(Protocol):
    """Where lines are written, each whole."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


class Reporter:
    """Reports a run, photo after photo. A context: at its end it says how the photos ended.

    Args:
        as_json: print the events, or with a manifest the lines of its results, on standard output.
        total: how many photos there are, if that is known.
        results: where a manifest's results go.
        left_out: files of directories that are not read.
    """

    def __init__(
        self,
        as_json: bool,
        total: int | None = None,
        results: Results | None = None,
        left_out: LeftOut | None = None,
    ) -> None:
        self.as_json, self.total, self.results, self.left_out = as_json, total, results, left_out or LeftOut()
        self.console = Console(stderr=True, highlight=False)
        self.progress = make_progress(self.console, as_json)
        self.bar = self.progress.add_task("working", total=total)
        self.shown: PhotoTask | None = None  # whose lines stand last
        self.ends: Counter[str] = Counter()  # photos by how they ended
        self.cutouts = 0
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        if self.as_json:
            for reason, names in self.left_out.names.items():
                print(
                    json.dumps({"event": "left_out", "reason": reason, "count": len(names), "files": names}), flush=True
                )
        self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
        if self.total != 1:
            self.console.print(
                totals_text(self.ends, self.cutouts, self.total, time.monotonic() - self.began), soft_wrap=True
            )
        if text := self.left_out.text():
            self.console.print(f"left out: {escape(text)}", soft_wrap=True)

    def start(self, task: PhotoTask) -> None:
        self.shown = task
        name = escape(task.photo.name)
        self.console.print(
            f"line {task.line}: [bold]{name}[/bold]" if task.line else f"[bold]{name}[/bold]", soft_wrap=True
        )

    def event(self, task: PhotoTask, event: Event, file: str, seconds: float) -> None:
        """Report one event; `file` is where an object's picture was written, `seconds` how long after the last."""
        match event:
            case Description():
                self.line("describe", f"{event.text} {event.score:.2f}", seconds)
            case Detections():
                found = ", ".join(f"{one.label} {one.score:.2f}" for one in event.detections)
                self.line("detect", found or "nothing found", seconds)
                for warning in event.warnings:
                    self.console.print(f"  [yellow]warning[/yellow]     {escape(warning)}")
            case ObjectResult():
                text = named(event.detection) + (f" -> {file}" if file else "")
                self.line(f"object {event.detection.index}", text, event.seconds)
                for warning in event.warnings:
                    self.console.print(f"  [yellow]warning[/yellow]     {escape(warning)}")
            case ObjectFault():
                text = f"{named(event.detection)}: {event.step} failed: {event.message} ({event.code})"
                self.line(f"object {event.detection.index}", text, seconds, style="red")
            case Summary():
                models = dict.fromkeys(step.model for step in event.steps if step.model)
                count = f"{event.objects} cut-out{'' if event.objects == 1 else 's'}"
                count += f" ({event.detect_masks} with detect's mask)" if event.detect_masks else ""
                self.line("done", f"{count}, models: {', '.join(models) or 'none needed'}", event.seconds)
        if not task.line:
            self.write(task, {**event_json(event), **({"file": file} if file else {})})

    def end(self, task: PhotoTask, summary: dict[str, Any]) -> None:
        """Report how a photo ended. One that was done before is only counted."""
        rows = summary["events"]
        skipped = summary.get("skipped", False)
        if skipped and not task.line:
            self.write(task, {"event": "skipped", "status": summary["status"], "files": summary["files"]})
        for row in rows:
            if row["event"] == "error":
                if self.shown is not task:
                    self.start(task)
                self.line("failed", f"{row['message']} ({row['code']})", summary["seconds"], style="red")
                if row.get("kept"):
                    self.console.print(f"  the files of an earlier run stay: {escape(', '.join(row['kept']))}")
                if not task.line:
                    self.write(task, row)
        if task.line:
            text = json.dumps(result_line(task.line, summary))
            if self.results:
                self.results.write(text + "\n")
                self.results.flush()
            if self.as_json:
                print(text, flush=True)
        self.ends[SKIPPED if skipped else summary["status"]] += 1
        self.cutouts += 0 if skipped else sum(row["event"] == "object" for row in rows)
        said = progress_text(self.ends, self.cutouts, self.total, time.monotonic() - self.began)
        self.progress.update(self.bar, completed=self.ends.total(), description=said)

    def stopped(self, task: PhotoTask) -> None:
        """Report that a photo was under way when the run ended early."""
        if self.shown is task:
            self.console.print("  [yellow]stopped[/yellow]")

    def trouble(self, message: str) -> None:
        """Report what concerns no photo."""
        self.console.print(f"[red]{escape(message)}[/red]", soft_wrap=True)

    def line(self, head: str, text: str, seconds: float, style: str = "") -> None:
        print_line(self.console, head, text, seconds, style)

    def write(self, task: PhotoTask, row: dict[str, Any]) -> None:
        if self.as_json:
            print(json.dumps({"image": task.photo.name, **row}), flush=True)


def make_progress(console: Console, as_json: bool) -> Progress:
    """The bar of a command: on a terminal only, and gone at the end."""
    columns = SpinnerColumn(), BarColumn(10), TextColumn("{task.description}")
    return Progress(*columns, console=console, transient=True, disable=as_json or not console.is_terminal)


def print_line(console: Console, head: str, text: str, seconds: float, style: str = "") -> None:
    """A line about one event."""
    text = f"[{style}]{escape(text)}[/{style}]" if style else escape(text)
    console.print(f"  {head:<11} {text}  [dim]{seconds:.2f} s[/dim]", soft_wrap=True)


def progress_text(ends: Counter[str], cutouts: int, total: int | None, seconds: float) -> str:
    """How far a run is: "12/300 photos, 31 cut-outs, 14.2 a minute, 0:20:17 left". Skipped photos took no time."""
    known = "" if total is None else f"/{total:,}"
    text = f"{ends.total():,}{known} photos, {cutouts:,} cut-outs"
    worked = ends.total() - ends[SKIPPED]
    if not worked:
        return text
    text += f", {60 * worked / seconds:.1f} a minute"
    if total is None:
        return text
    left = timedelta(seconds=round(seconds / worked * max(0, total - ends.total())))
    return f"{text}, {left} left"


def totals_text(ends: Counter[str], cutouts: int, total: int | None, seconds: float) -> str:
    """How a run ended: "12 photos: 9 done, 1 failed, 2 skipped; 14 cut-outs in 25.1 s"."""
    words = {DONE: "done", NOTHING: "without an object", FAILED: "failed", SKIPPED: "skipped as done before"}
    parts = ", ".join(f"{ends[end]:,} {word}" for end, word in words.items() if ends[end])
    text = f"{ends.total():,}" + (f" of {total:,}" if total and ends.total() < total else "")
    text += f" photo{'' if text == '1' else 's'}"
    return f"{text}{': ' if parts else ''}{parts}; {cutouts:,} cut-out{'' if cutouts == 1 else 's'} in {seconds:.1f} s"


def named(detection: Detection) -> str:
    return f"{detection.label} {detection.score:.2f}"

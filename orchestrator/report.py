"""What a run says while it works: lines for people on standard error, or JSON for programs on standard output."""

import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestrator.files import Input
from tensorhop.facts import facts
from tensorhop.results import Description, Detection, Detections, ObjectFault, ObjectResult, Summary


class Reporter:
    """Reports the events of a run, photo after photo."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=True, highlight=False)
        self.status = self.console.status("")
        self.photo: Input | None = None
        self.last = 0.0

    def start(self, photo: Input) -> None:
        self.photo, self.last = photo, time.monotonic()
        self.console.print(f"[bold]{escape(photo.name)}[/bold]")
        self.status.update("working")
        self.status.start()

    def event(self, event: Description | Detections | ObjectResult | ObjectFault | Summary, file: str = "") -> None:
        """Report one event; `file` is where an object's picture was written."""
        match event:
            case Description():
                self.line("describe", f"{event.text} {event.score:.2f}")
            case Detections():
                found = ", ".join(f"{one.label} {one.score:.2f}" for one in event.detections)
                self.line("detect", found or "nothing found")
                for warning in event.warnings:
                    self.console.print(f"  [yellow]warning[/yellow]     {escape(warning)}")
            case ObjectResult():
                self.line(
                    f"object {event.detection.index}",
                    named(event.detection) + (f" -> {file}" if file else ""),
                    event.seconds,
                )
            case ObjectFault():
                text = f"{named(event.detection)}: {event.step} failed: {event.message} ({event.code})"
                self.line(f"object {event.detection.index}", text, style="red")
            case Summary():
                models = dict.fromkeys(step.model for step in event.steps if step.model)
                count = f"{event.objects} cut-out{'' if event.objects == 1 else 's'}"
                self.line("done", f"{count}, models: {', '.join(models) or 'none needed'}", event.seconds)
        if self.as_json:
            self.write({**facts(event), **({"file": file} if file else {})})

    def failure(self, message: str, code: str, field: str = "") -> None:
        """Report that the photo failed as a whole."""
        self.line("failed", f"{message} ({code})", style="red")
        if self.as_json:
            self.write({"event": "error", "code": code, "field": field, "message": message})

    def finish(self) -> None:
        self.status.stop()

    def line(self, head: str, text: str, seconds: float | None = None, style: str = "") -> None:
        now = time.monotonic()
        seconds, self.last = (now - self.last if seconds is None else seconds), now
        text = f"[{style}]{escape(text)}[/{style}]" if style else escape(text)
        self.console.print(f"  {head:<11} {text}  [dim]{seconds:.2f} s[/dim]", soft_wrap=True)

    def write(self, row: dict[str, Any]) -> None:
        assert self.photo is not None
        print(json.dumps({"image": self.photo.name, **row}), flush=True, file=sys.stdout)


def named(detection: Detection) -> str:
    return f"{detection.label} {detection.score:.2f}"

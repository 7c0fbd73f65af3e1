"""How `tensorhop status` shows what it found: a table for people, or JSON for programs."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from tensorhop.orchestrator.commands.status import SERVING, Latency, Status, all_serve, to_json
from tensorhop.orchestrator.commands.tables import open_console, table
from tensorhop.v1 import model_pb2

TITLES = ("service", "health", "model", "transport", "calls", "queue", "latency")
DIGEST = 12  # characters of a digest or a commit that are shown
REVISION = 22  # and of other revisions
WATCH_SECONDS = 1.0  # between two looks


def show(statuses: Sequence[Status], as_json: bool) -> int:
    """Print what was found; returns the exit code."""
    if as_json:
        print(to_json(statuses), flush=True)
    else:
        console = open_console()
        console.print(view(statuses, console.width))
    return 0 if all_serve(statuses) else 1


def watch(find: Callable[[], list[Status]], as_json: bool) -> None:
    """Show what is found again and again; returns at Ctrl-C."""
    with suppress(KeyboardInterrupt):
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if as_json:
            while True:
                show(find(), as_json)
                time.sleep(WATCH_SECONDS)
        console = open_console()
        with Live(view(find(), console.width), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_SECONDS)
                live.update(view(find(), console.width), refresh=True)


def view(statuses: Sequence[Status], width: int) -> Group:
    """The table, and below it why a service did not answer, or is not ready.

    Args:
        width: characters for a line.
    """
    reasons = [Text(f"{one.service}: {one.message}", style="red") for one in statuses if one.message]
    return Group(table(TITLES, [row(status) for status in statuses], width), *([Text(), *reasons] if reasons else []))


def row(status: Status) -> list[str]:
    """Cells of at most two lines; what is not known stays empty."""
    colour = "green" if status.health == SERVING else "red"
    service = f"[bold]{status.service}[/bold]\n{escape(status.address)}"
    health = f"[{colour}]{status.health}[/{colour}]"
    if status.info is None:
        return [service, health, *[""] * (len(TITLES) - 2)]
    calls, queue = status.info.calls, status.info.queue
    latency = Latency.of(calls) if calls.ended else None
    return [
        service,
        f"{health}\nup {uptime(status.info.uptime_seconds)}",
        escape(model_of(status.info.model)) if status.info.HasField("model") else "",
        status.transport.replace("_", " "),
        f"{calls.under_way} now\n{calls.ended} ended" + (f", {calls.failed} failed" if calls.failed else ""),
        f"{queue.waiting}/{queue.most}" if status.info.HasField("queue") else "",
        f"mean {seconds(latency.mean)}\nlast {seconds(latency.last)}" if latency else "",
    ]


def model_of(model: model_pb2.Model) -> str:
    """Name and digest; below them the revision, of which a commit is cut like a digest."""
    revision = model.revision[:DIGEST] if re.fullmatch("[0-9a-f]{40}", model.revision) else model.revision
    if len(revision) > REVISION:
        revision = revision[: REVISION - 1] + "…"
    return f"{model.name} {model.digest[:DIGEST]}\n{revision}".strip()


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def uptime(value: float) -> str:
    """The two largest units of a time: "2 d 3 h", "5 min 12 s"."""
    whole = int(value)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"

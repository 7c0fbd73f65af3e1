"""How `tensorhop status` shows what it found: a table for people, or JSON for programs."""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tensorhop.orchestrator.commands.status import SERVING, Latency, Status, all_serve, to_json
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
        Console().print(view(statuses))
    return 0 if all_serve(statuses) else 1


def watch(find: Callable[[], list[Status]], as_json: bool) -> None:
    """Show what is found again and again; returns at Ctrl-C."""
    with suppress(KeyboardInterrupt):
        if as_json:
            while True:
                show(find(), as_json)
                time.sleep(WATCH_SECONDS)
        with Live(view(find()), auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_SECONDS)
                live.update(view(find()), refresh=True)


def view(statuses: Sequence[Status]) -> Group:
    """The table, and below it why a service did not answer, or is not ready."""
    reasons = [Text(f"{one.service}: {one.message}", style="red") for one in statuses if one.message]
    return Group(table(statuses), *reasons)


def table(statuses: Sequence[Status]) -> Table:
    """Two lines for each service; what is not known stays empty."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in TITLES:
        made.add_column(title, overflow="fold", no_wrap=title != "model", min_width=len(title))
    for status in statuses:
        made.add_row(*row(status))
    return made


def row(status: Status) -> list[str | Text]:
    colour = "green" if status.health == SERVING else "red"
    service = f"[bold]{status.service}[/bold]\n{escape(status.address)}"
    health = f"[{colour}]{status.health}[/{colour}]"
    if status.info is None:
        return [service, health]
    calls, queue = status.info.calls, status.info.queue
    latency = Latency.of(calls) if calls.ended else None
    return [
        service,
        f"{health}\nup {uptime(status.info.uptime_seconds)}",
        # In a narrow terminal this column gives way, and its lines are cut.
        Text(model_of(status.info.model), no_wrap=True, overflow="ellipsis") if status.info.HasField("model") else "",
        status.transport.replace("_", "\n"),
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

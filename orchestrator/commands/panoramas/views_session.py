"""One run of `tensorhop views`, from its options to its exit code."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from tensorhop.client.views.client import ViewsClient
from tensorhop.client.views.events import ViewsEvent, ViewsSummary
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.files import CannotWrite
from tensorhop.models.sources import ModelChoice
from tensorhop.observe.tracing import start_tracing
from tensorhop.orchestrator.commands.panoramas.views_files import IntervalFiles
from tensorhop.orchestrator.commands.panoramas.views_reporter import ViewsReporter
from tensorhop.orchestrator.commands.run_session import connection, until_signal
from tensorhop.orchestrator.launch.loading import Loading
from tensorhop.orchestrator.run.files import WrongUse, check_writable
from tensorhop.orchestrator.run.own_files import NotOurs, Rights
from tensorhop.orchestrator.run.runner import DONE, FAILED, NOTHING, code_of
from tensorhop.orchestrator.run.summary import error_row, fault_from
from tensorhop.orchestrator.views.service import SERVICE as VIEWS
from tensorhop.rpc.security import Security
from tensorhop.values.panoramas import INTERVALS
from tensorhop.wire.allocator import keep_large_buffers

# By field of the request, the option that says it.
OPTIONS = {
    "min_score": "--min-score",
    "intervals": "--interval",
    "view": "--size",
    "views": "--views",
    "scale": "--scale",
    "seed": "--seed",
    "encoding": "--encoding",
    "any_ratio": "--any-ratio",
}


@dataclass(frozen=True)
class ViewsOptions:
    """What the command line says."""

    panoramas: Sequence[Path]
    out: Path
    encoding: str
    intervals: Sequence[int]  # all if empty
    request: Mapping[str, Any]  # further arguments of ViewsClient.process
    as_json: bool
    overwrite: bool
    endpoint: str | None


def run_views(options: ViewsOptions, choices: Mapping[str, ModelChoice], loading: Loading) -> int:
    """Run, and return the exit code.

    Args:
        choices: by service, the model that it runs if it starts in this process.
        loading: the services that begin to load already.

    Raises:
        WrongUse: a panorama cannot be read, or a file is in the way of a result.
    """
    keep_large_buffers()
    security = Security.of()
    start_tracing("tensorhop-views")
    rights = Rights(options.overwrite)
    data = [read_panorama(path, rights) for path in options.panoramas]
    check_writable(options.out, "--out")
    about = {
        "panoramas": [path.name for path in options.panoramas],
        "digest": blake3(data[0]).hexdigest(),
        "options": dict(options.request) | {"encoding": options.encoding},
    }
    try:
        files = {
            interval: IntervalFiles(options.out, options.panoramas, interval, options.encoding, about, rights)
            for interval in options.intervals or INTERVALS
        }
    except NotOurs as error:
        raise WrongUse(f"{error.filename} {error.strerror}") from error

    def work(stack: ExitStack) -> int:
        client = stack.enter_context(connection(VIEWS, ViewsClient, options.endpoint, choices, loading, security))
        reporter = stack.enter_context(ViewsReporter(options.as_json, len(files), options.request["min_score"]))
        try:
            events = client.process(*data, intervals=options.intervals, encoding=options.encoding, **options.request)
            return write_events(events, files, reporter)
        except (ServiceFault, InvalidInput, CannotWrite) as error:
            fault = fault_from(error)
            code = FAILED if isinstance(error, CannotWrite) else code_of(fault)
            fault.message = in_own_words(fault.message, fault.field, options.panoramas)
            for one in files.values():
                one.fail(error_row(fault))
            reporter.failed(error_row(fault))
            return code

    return until_signal(work)


def write_events(events: Iterable[ViewsEvent], files: Mapping[int, IntervalFiles], reporter: ViewsReporter) -> int:
    """Write and report events as they come; the exit code."""
    code = FAILED
    for event in events:
        if isinstance(event, ViewsSummary):
            for one in files.values():
                one.finish()
            code = FAILED if event.faults else DONE if event.kept else NOTHING
            reporter.event(event, "")
        else:
            reporter.event(event, files[event.interval].take(event))
    return code


def read_panorama(path: Path, rights: Rights) -> bytes:
    """The bytes of a file, which the run then never writes. Raises WrongUse: it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    rights.read(path)
    return data


def in_own_words(message: str, field: str, panoramas: Sequence[Path]) -> str:
    """A message about a field of the request, as one about what the command line says."""
    message = message.replace("set any_ratio to", "give --any-ratio to")
    if found := re.match(r"panoramas\[(\d)\](\.encoded)?", field):
        return message.replace(found[0], str(panoramas[int(found[1])]), 1)
    name = re.split(r"[.\[]", field)[0]
    return message.replace(field, OPTIONS[name], 1) if name in OPTIONS and field else message

"""One run, from its options to its exit code."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import typer

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput
from tensorhop.models.answers import shared_answers
from tensorhop.models.sources import ModelChoice
from tensorhop.observe.tracing import start_tracing
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.launch.loading import Loading
from tensorhop.orchestrator.run.file_checks import check_files, check_results
from tensorhop.orchestrator.run.files import WrongUse, check_writable
from tensorhop.orchestrator.run.inputs import STDIN, find_inputs
from tensorhop.orchestrator.run.manifest import Line, ResultsFile, count_lines, open_manifest, read_tasks
from tensorhop.orchestrator.run.own_files import Rights
from tensorhop.orchestrator.run.own_options import OVERLAY
from tensorhop.orchestrator.run.photo_request import Destination, PhotoOptions, PhotoRequest, PhotoTask, photo_request
from tensorhop.orchestrator.run.reporter import Reporter
from tensorhop.orchestrator.run.runner import FAILED, run
from tensorhop.rpc.security import Security
from tensorhop.rpc.service import Service
from tensorhop.values.images import decode_mask
from tensorhop.wire.allocator import keep_large_buffers

C = TypeVar("C", bound=AbstractContextManager[Any])
INTERRUPTED, TERMINATED = 130, 143


@dataclass(frozen=True)
class RunOptions:
    """What the command line says about a run, beside the options of its photos."""

    images: Sequence[str]  # files, directories, "-"
    manifest: str | None
    masks: Sequence[Path]
    recursive: bool
    out: str
    template: str | None
    as_json: bool
    steps: str | None
    jobs: int
    resume: bool
    fail_fast: bool
    endpoint: str | None
    overwrite: bool = False


def run_photos(
    options: RunOptions,
    values: Mapping[str, Any],
    phrases: Sequence[str],
    boxes: Sequence[Sequence[float]],
    choices: Mapping[str, ModelChoice],
    loading: Loading,
) -> int:
    """Run, and return the exit code.

    Args:
        values: the options of the photos, by name in the table of options.
        phrases, boxes: what to look for, or where the objects are.
        choices: by service, the model that it runs if it starts in this process.
        loading: the services that begin to load already.

    Raises:
        WrongUse: the options contradict each other, or name what is not there.
        InvalidInput: a value is out of its range.
    """
    keep_large_buffers()
    security = Security.of()
    start_tracing("tensorhop-run")
    only_images = {"--box": boxes, "--mask": options.masks, "--recursive": options.recursive}
    check_manifest(options.images, options.manifest, only_images)
    check_given(options)
    inputs, left_out = find_inputs(options.images, options.recursive, options.template)
    if len(inputs) > 1 and (boxes or options.masks):
        raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
    chosen, destination = PhotoOptions(**values), destination_of(options)
    check_out(options, destination.single, len(inputs), values.get(OVERLAY.name))
    masks = [read_mask_file(path) for path in options.masks]
    names = [str(path) for path in options.masks]
    wanted = photo_request(chosen, destination, phrases=phrases, boxes=boxes, masks=masks, mask_files=names)
    manifest = options.manifest

    def tasks() -> Iterable[PhotoTask]:
        if manifest is None:
            return [PhotoTask(photo, wanted) for photo in inputs]
        return manifest_tasks(manifest, chosen, destination, phrases)

    given, total = tasks(), len(inputs) if manifest is None else count_lines(manifest)
    if total is not None:  # a manifest on standard input can be read only once
        reads = [*options.masks, *([Path(manifest)] if manifest is not None else [])]
        check_files(destination, tasks, reads, options.resume)
    if manifest is not None:
        check_results(Path(options.out), destination.rights)

    def work(stack: ExitStack) -> int:
        client = stack.enter_context(connection(PIPELINE, PipelineClient, options.endpoint, choices, loading, security))
        results = stack.enter_context(ResultsFile(Path(options.out))) if manifest is not None else None
        reporter = stack.enter_context(Reporter(options.as_json, total, results, left_out))
        return run(given, client, reporter, jobs=options.jobs, resume=options.resume, fail_fast=options.fail_fast)

    return until_signal(work)


def check_given(options: RunOptions) -> None:
    """Raises WrongUse: an option is empty, as that of a shell's variable that is not set."""
    steps = options.steps
    for name, value in (("--out", options.out), ("--save-steps", steps), ("--name", options.template)):
        if value == "":
            raise WrongUse(f"{name} is empty" + ("" if name == "--name" else "; the current folder is ."))


def check_out(options: RunOptions, single: bool, inputs: int, overlay: bool | None) -> None:
    """Raises WrongUse: an --out that the other options contradict, or that cannot be written to."""
    out = options.out
    if out != "-":
        check_writable(Path(out).parent if single else Path(out), "--out")
    if not single:
        return
    if inputs > 1:
        raise WrongUse(f"--out {out} is one file, and there are {inputs} photos; name a directory")
    for given, name in ((overlay, "--overlay"), (options.resume, "--resume"), (options.manifest, "--manifest")):
        if given:
            raise WrongUse(f"{name} needs a directory; --out is {out}")
    if out == "-" and options.as_json:
        raise WrongUse("--json and --out - both want standard output")
    if out == "-" and sys.stdout.isatty():
        raise WrongUse("--out - would print a picture on the terminal; send it to a file or a pipe")


def check_manifest(images: Sequence[str], manifest: str | None, only_images: Mapping[str, object]) -> None:
    """Raises WrongUse: neither images nor a manifest, or both, or options beside a manifest that are for images."""
    if not images and manifest is None:
        raise WrongUse("name an IMAGE, a directory or a --manifest")
    if manifest is None:
        return
    if images:
        raise WrongUse(f"--manifest names the photos; {images[0]} cannot be given beside it")
    for name, value in only_images.items():
        if value:
            raise WrongUse(f"{name} has no place beside --manifest, whose lines say that")


def read_mask_file(path: Path) -> np.ndarray:
    """Raises WrongUse: the file cannot be read or is no picture."""
    try:
        return decode_mask(path.read_bytes(), f"--mask {path}")
    except (OSError, InvalidInput) as error:
        raise WrongUse(str(error)) from error


def destination_of(options: RunOptions) -> Destination:
    """Where results go. An --out with a suffix is one file, unless it is a directory; - is standard output."""
    out = None if options.out == "-" else Path(options.out)
    single = out is None or (out.suffix != "" and not out.is_dir())
    steps = None if options.steps is None else Path(options.steps)
    return Destination(out, single, options.template, steps, Rights(options.overwrite))


def manifest_tasks(
    manifest: str, chosen: PhotoOptions, destination: Destination, phrases: Sequence[str]
) -> Iterator[PhotoTask]:
    """A task a line of the manifest; what a line does not say, the command line does. Raises WrongUse: no such file."""

    def plan_line(line: Line) -> PhotoRequest:
        # A file that the command line names is not relative to the manifest.
        own = folder if "background" in line.options.values() else Path()
        options = chosen.under(line.options)
        return photo_request(options, destination, phrases=line.phrases or phrases, boxes=line.boxes, folder=own)

    folder, file = Path() if manifest == STDIN else Path(manifest).parent, open_manifest(manifest)

    def read() -> Iterator[PhotoTask]:
        with file:
            yield from read_tasks(file, folder, plan_line)

    return read()


@contextmanager
def connection(
    chain: Service,
    client: Callable[..., C],
    endpoint: str | None,
    choices: Mapping[str, ModelChoice],
    loading: Loading,
    security: Security,
) -> Iterator[C]:
    """A client of the chain at the endpoint; without one, of a chain that runs in this process until the end.

    Args:
        client: the class of the chain's client.

    Raises:
        InvalidInput: a model cannot be loaded.
    """
    with ExitStack() as stack:
        if endpoint is None:
            from tensorhop.orchestrator.launch.in_process import one_process

            security = Security()  # nobody else is there
            addresses = dict.fromkeys((*chain.calls, chain.name), "127.0.0.1:0")
            stack.enter_context(shared_answers())
            servers = stack.enter_context(one_process(addresses, choices, security=security, loading=loading))
            endpoint = servers[chain.name].address
        yield stack.enter_context(client(endpoint, security=security))


def until_signal(work: Callable[[ExitStack], int]) -> int:
    """The exit code of work, which a signal ends. What the work enters into its stack is left before this returns."""
    try:
        with ExitStack() as stack:
            stack.enter_context(signals())
            return work(stack)
    except Terminated:
        typer.echo("terminated", err=True)
        return TERMINATED
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        raise  # the reader of standard output has gone; typer ends the process quietly
    except OSError as error:  # the results of a manifest cannot be written any more
        typer.echo(f"Error: {error}", err=True)
        return FAILED


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def signals() -> Iterator[None]:
    """Have SIGTERM end the work as SIGINT does, by an exception. A second signal ends the process at once."""

    def end(number: int, frame: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        if before[number] is not signal.SIG_IGN:  # as a shell has it for its background jobs
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""`tensorhop run`: what its options mean."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import typer

from tensorhop.client import PipelineClient
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.observe.tracing import start_tracing
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.commands.photo_options import photo_options
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.launch.model_choices import model_choices
from tensorhop.orchestrator.run.files import STDIN, WrongUse, find_inputs
from tensorhop.orchestrator.run.manifest import Line, count_lines, open_manifest, open_results, read_tasks
from tensorhop.orchestrator.run.photo_request import (
    OVERLAY,
    Destination,
    PhotoOptions,
    PhotoRequest,
    PhotoTask,
    photo_request,
)
from tensorhop.orchestrator.run.reporter import Reporter
from tensorhop.orchestrator.run.runner import FAILED, JOBS, run
from tensorhop.rpc.security import Security
from tensorhop.serving.options import add_options
from tensorhop.serving.settings_options import sharing_client_options
from tensorhop.wire.allocator import keep_large_buffers

INTERRUPTED, TERMINATED = 130, 143


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name models to a command, which gets them as `choices`: a ModelChoice by step."""

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        models, devices, dtypes, revisions = (given.get(name, []) for name in ("model", "device", "dtype", "revision"))
        trusted = given.get("trust_remote_code", False)
        try:
            return {"choices": model_choices(models, devices, dtypes, revisions, trusted)}
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from error

    return add_options(command, run_options.MODELS, collect)


@sharing_client_options
@photo_options
@model_options
def run_command(
    chosen: PhotoOptions,
    phrases: list[str],
    boxes: list[tuple[float, ...]],
    choices: dict[str, ModelChoice],
    images: run_options.Images = None,
    manifest: run_options.ManifestFile = None,
    mask: run_options.MaskFile = None,
    recursive: run_options.Recursive = False,
    out: run_options.Out = "out",
    name: run_options.NameTemplate = None,
    as_json: run_options.AsJson = False,
    save_steps: run_options.SaveSteps = None,
    jobs: run_options.Jobs = JOBS,
    resume: run_options.Resume = False,
    fail_fast: run_options.FailFast = False,
    endpoint: run_options.Endpoint = None,
) -> None:
    """Cut the objects out of photos.

    Exit code: 0 every photo gave a cut-out, 1 something failed, 2 wrong use,

    3 nothing was found, 4 the endpoint cannot be reached or wants a token, 130 interrupted, 143 terminated.
    """
    keep_large_buffers()
    security = Security.of()
    try:
        start_tracing("tensorhop-run")
        if endpoint and choices:
            raise WrongUse("--model is for services that start here; those of --endpoint run theirs already")
        only_images = {"--box": boxes, "--mask": mask, "--recursive": recursive}
        run_options.check_manifest(images or [], manifest, only_images)
        inputs = find_inputs(images or [], recursive, out)
        if len(inputs) > 1 and (boxes or mask):
            raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
        place, overlay = destination(out, name, save_steps), chosen.values().get(OVERLAY.name)
        run_options.check_out(out, place.single, len(inputs), overlay, as_json, resume, manifest is not None)
        masks = [run_options.read_mask_file(path) for path in mask or []]
        plan = photo_request(chosen, place, phrases=phrases, boxes=boxes, masks=masks)
        tasks: Iterable[PhotoTask] = [PhotoTask(photo, plan) for photo in inputs]
        total: int | None = len(inputs)
        results: TextIO | None = None
        if manifest is not None:
            tasks, total = manifest_tasks(manifest, chosen, place, phrases), count_lines(manifest)
            results = open_results(Path(out))
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error

    def work(stack: ExitStack) -> int:
        if results:
            stack.enter_context(results)
        client = stack.enter_context(connection(endpoint, choices, security))
        reporter = stack.enter_context(Reporter(as_json, total, results))
        return run(tasks, client, reporter, jobs=jobs, resume=resume, fail_fast=fail_fast)

    raise typer.Exit(until_signal(work))


def destination(out: str, template: str | None, steps: Path | None) -> Destination:
    """Where results go. An --out with a suffix is one file, unless it is a directory; - is standard output."""
    single = out == "-" or (Path(out).suffix != "" and not Path(out).is_dir())
    return Destination(None if out == "-" else Path(out), single, template, steps)


def manifest_tasks(manifest: str, chosen: PhotoOptions, place: Destination, phrases: list[str]) -> Iterator[PhotoTask]:
    """A task a line of the manifest; what a line does not say, the command line does. Raises WrongUse: no such file."""

    def plan_line(line: Line) -> PhotoRequest:
        return photo_request(chosen.under(line.options), place, phrases=line.phrases or phrases, boxes=line.boxes)

    folder = Path() if manifest == STDIN else Path(manifest).parent
    return read_tasks(open_manifest(manifest), folder, plan_line)


@contextmanager
def connection(
    endpoint: str | None, choices: Mapping[str, ModelChoice], security: Security
) -> Iterator[PipelineClient]:
    """A client of the pipeline at the endpoint; without one, of a pipeline that runs in this process until the end.

    Raises:
        InvalidInput: a model cannot be loaded.
    """
    with ExitStack() as stack:
        if endpoint is None:
            from tensorhop.orchestrator.launch.in_process import one_process

            security = Security()  # nobody else is there
            addresses = dict.fromkeys((*PIPELINE.calls, PIPELINE.name), "127.0.0.1:0")
            servers = stack.enter_context(one_process(addresses, choices, security=security))
            endpoint = servers[PIPELINE.name].address
        yield stack.enter_context(PipelineClient(endpoint, security=security))


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

"""The `tensorhop` command."""

import logging
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import options
from orchestrator.bench.cli import bench
from orchestrator.choices import choices_of
from orchestrator.files import STDIN, WrongUse, find_inputs
from orchestrator.manifest import Line, count_lines, open_manifest, open_results, read_tasks
from orchestrator.models import models
from orchestrator.options import option
from orchestrator.plan import PhotoOptions, Place, Plan, Task, plan_photo
from orchestrator.report import Reporter
from orchestrator.run import FAILED, JOBS, run
from tensorhop.address import reachable
from tensorhop.client import PipelineClient
from tensorhop.command import (
    AllowPath,
    Listen,
    NoShm,
    ShmDir,
    TrustRemoteCode,
    serve_command,
    serve_servicer,
    set_limits,
    start_seeing,
)
from tensorhop.errors import InvalidInput
from tensorhop.memory import keep_large_buffers
from tensorhop.security import Security, from_environment
from tensorhop.server import GRACE_SECONDS, Stoppable
from tensorhop.server import run as run_servers
from tensorhop.server_options import client_options, server_options
from tensorhop.settings import PORTS, limits
from tensorhop.tracing import start_tracing

if TYPE_CHECKING:
    from web.serve import HttpServer

log = logging.getLogger(__name__)

app = typer.Typer(
    help="Photo in, finished object cut-outs out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve = typer.Typer(help="Serve one step, or the pipeline that chains them.", no_args_is_help=True)
app.add_typer(serve, name="serve")
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")

INTERRUPTED, TERMINATED = 130, 143


@app.command("run")
@client_options
def run_command(
    images: options.Images = None,
    manifest: options.ManifestFile = None,
    prompt: options.Prompt = None,
    look: options.LookOption = None,
    describe_prompt: options.DescribePrompt = "",
    box: options.BoxText = None,
    mask: options.MaskFile = None,
    max_objects: options.MaxObjects = 4,
    max_parallel: options.MaxParallel = 4,
    merge: options.Merge = False,
    recursive: options.Recursive = False,
    preset: options.PresetName = None,
    center: options.Center = None,
    canvas: options.Canvas = None,
    fill: options.Fill = None,
    max_scale: options.MaxScale = None,
    refine: options.Refine = None,
    decontaminate: options.Decontaminate = None,
    shadow: options.Shadow = None,
    rot: options.Rot = None,
    shadow_length: options.ShadowLength = None,
    shadow_softness: options.ShadowSoftness = None,
    shadow_opacity: options.ShadowOpacity = None,
    encoding: options.Format = None,
    quality: options.Quality = None,
    background: options.Background = None,
    out: options.Out = "out",
    name: options.NameTemplate = None,
    overlay: options.Overlay = None,
    as_json: options.AsJson = False,
    save_steps: options.SaveSteps = None,
    jobs: options.Jobs = JOBS,
    resume: options.Resume = False,
    fail_fast: options.FailFast = False,
    endpoint: options.Endpoint = None,
    no_cache: options.NoCache = False,
    model: options.StepModel = None,
    device: options.StepDevice = None,
    dtype: options.StepDtype = None,
    revision: options.StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
    shm_dir: ShmDir = None,
    no_shm: NoShm = False,
) -> None:
    """Cut the objects out of photos.

    Exit code: 0 every photo gave a cut-out, 1 something failed, 2 wrong use,

    3 nothing was found, 4 the endpoint cannot be reached or wants a token, 130 interrupted, 143 terminated.
    """
    set_limits(shm_dir, no_shm)
    keep_large_buffers()
    security = from_environment()
    try:
        start_tracing("tensorhop-run")
        choices = choices_of(model or [], device or [], dtype or [], revision or [], trust_remote_code)
        if endpoint and choices:
            raise WrongUse("--model is for services that start here; those of --endpoint run theirs already")
        options.check_manifest(images or [], manifest, {"--box": box, "--mask": mask, "--recursive": recursive})
        inputs = find_inputs(images or [], recursive, out)
        if len(inputs) > 1 and (box or mask):
            raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
        single = out == "-" or (Path(out).suffix != "" and not Path(out).is_dir())
        options.check_out(out, single, len(inputs), overlay, as_json, resume, manifest is not None)
        place = Place(None if out == "-" else Path(out), single, name, save_steps)
        chosen = PhotoOptions(
            look=look,
            describe_prompt=describe_prompt,
            cache=not no_cache,
            max_objects=max_objects,
            max_parallel=max_parallel,
            merge=merge,
            preset=preset,
            center=center,
            canvas=canvas,
            fill=fill,
            max_scale=max_scale,
            refine=refine,
            decontaminate=decontaminate,
            shadow=shadow,
            rot=rot,
            shadow_length=shadow_length,
            shadow_softness=shadow_softness,
            shadow_opacity=shadow_opacity,
            format=encoding,
            quality=quality,
            background=background,
            overlay=overlay,
        )
        plan = plan_photo(
            chosen,
            place,
            phrases=prompt or [],
            boxes=[options.parse_box(text) for text in box or []],
            masks=[options.read_mask_file(path) for path in mask or []],
        )

        def plan_line(line: Line) -> Plan:
            return plan_photo(chosen.under(line.options), place, phrases=line.phrases or prompt or [], boxes=line.boxes)

        tasks: Iterable[Task] = [Task(photo, plan) for photo in inputs]
        total: int | None = len(inputs)
        if manifest is not None:
            folder = Path() if manifest == STDIN else Path(manifest).parent
            tasks, total = read_tasks(open_manifest(manifest), folder, plan_line), count_lines(manifest)
        results = None if manifest is None else open_results(Path(out))
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
    try:
        with ExitStack() as stack:
            stack.enter_context(signals())
            if results:
                stack.enter_context(results)
            if endpoint is None:
                from orchestrator.local import one_process

                security = Security()  # nobody else is there
                addresses = dict.fromkeys(PORTS, "127.0.0.1:0")
                servers = stack.enter_context(one_process(addresses, choices, security=security))
                endpoint = servers["pipeline"].address
            client = stack.enter_context(PipelineClient(endpoint, security=security))
            reporter = stack.enter_context(Reporter(as_json, total, results))
            code = run(tasks, client, reporter, jobs=jobs, resume=resume, fail_fast=fail_fast)
    except Terminated:
        typer.echo("terminated", err=True)
        code = TERMINATED
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        raise  # the reader of standard output has gone; typer ends the process quietly
    except OSError as error:  # the results of a manifest cannot be written any more
        typer.echo(f"Error: {error}", err=True)
        code = FAILED
    raise typer.Exit(code)


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


PIPELINE = f"localhost:{PORTS['pipeline']}"
Name = StrEnum("Name", [*PORTS])  # type: ignore[misc]  # the services, as choices of an option


@app.command()
@server_options
def up(
    host: Annotated[str, option("Where to listen.", metavar="HOST")] = "localhost",
    only: Annotated[list[Name] | None, option("Start only this; repeatable.")] = None,
    one_process: Annotated[bool, option("All in one process, with one CUDA context.", "--one-process")] = False,
    model: options.StepModel = None,
    device: options.StepDevice = None,
    dtype: options.StepDtype = None,
    revision: options.StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
    shm_dir: ShmDir = None,
    no_shm: NoShm = False,
    allow_path: AllowPath = None,
    cache: options.CacheAt = None,
) -> None:
    """Start the services and the pipeline on their default ports, and supervise them until Ctrl-C."""
    from orchestrator import local

    set_limits(shm_dir, no_shm, allow_path, cache)
    names = [name for name in reversed(PORTS) if not only or name in only]
    if "http" in names and (lost := missing_http()):
        if only:
            typer.echo(f"Error: {lost}", err=True)
            raise typer.Exit(1)
        typer.echo(f"http is left out: {lost}", err=True)
        names.remove("http")
    addresses = {name: f"{host}:{PORTS[name]}" for name in names}
    if limits().tls_cert and not limits().tls_ca:
        raise typer.BadParameter("--tls-cert needs --tls-ca here: the services are called by TLS, too")
    try:
        choices = choices_of(model or [], device or [], dtype or [], revision or [], trust_remote_code)
        if one_process:
            start_seeing("tensorhop")
            keep_large_buffers()
            with local.one_process(addresses, choices, GRACE_SECONDS) as servers:
                found = {name: server.address for name, server in servers.items()}
                first: list[Stoppable] = []
                if "http" in addresses:
                    first.append(start_http(addresses["http"], reachable(addresses.get("pipeline", PIPELINE))))
                    found["http"] = addresses["http"]
                run_servers(first, lambda: announce(found))
            return
        children = local.children(addresses, choices)
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell has its background jobs ignore SIGINT
            signal.signal(number, signal.default_int_handler)
        try:
            local.start(children)
            announce(addresses)
            local.supervise(children, lambda message: typer.echo(message, err=True))
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)
        finally:
            local.stop(children)
    except (InvalidInput, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def announce(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        typer.echo(f"{name:<12} {address}", err=True)
    typer.echo("ready; Ctrl-C stops", err=True)


StepAddress = Annotated[
    str | None, option("Where this step is.", metavar="ADDRESS", show_default="where the pipeline calls it")
]


@app.command("status")
@client_options
def status_command(
    pipeline: Annotated[
        str, option("Address of the pipeline.", metavar="ADDRESS", envvar="TENSORHOP_ENDPOINT")
    ] = f"localhost:{PORTS['pipeline']}",
    describe: StepAddress = None,
    detect: StepAddress = None,
    segment: StepAddress = None,
    postprocess: StepAddress = None,
    only: Annotated[list[Name] | None, option("Ask only this; repeatable.")] = None,
    wait: Annotated[
        str | None, option("Until all serve, at most so long: 30s, 2m.", metavar="TIME", show_default="do not wait")
    ] = None,
    watch: Annotated[bool, option("Look again every second, until Ctrl-C.", "--watch", "-w")] = False,
    as_json: Annotated[bool, option("Print one JSON object a look.", "--json")] = False,
) -> None:
    """Show where the services are, whether they serve, what they run, and how they fare.

    Exit code: 0 all serve (or --watch was ended), 1 not all do, 2 wrong use, 130 interrupted.
    """
    from orchestrator import status, status_view

    steps = {"describe": describe, "detect": detect, "segment": segment, "postprocess": postprocess}
    told = {"pipeline": pipeline} | {name: address for name, address in steps.items() if address}
    try:
        if wait is not None and watch:
            raise WrongUse("--wait ends when all serve, --watch never; take one of them")
        seconds = 0.0 if wait is None else status.parse_duration(wait)
    except WrongUse as error:
        raise typer.BadParameter(str(error)) from error

    def find() -> list[status.Status]:
        return status.look(told, only or [])

    if watch:
        status_view.watch(find, as_json)
        return
    try:
        code = status_view.show(status.wait(find, seconds), as_json)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def add_serve(name: str) -> None:
    def load() -> object:
        from orchestrator import local

        return local.service(name)

    serve.command(name)(serve_command(name, load, has_model=name != "postprocess"))  # type: ignore[arg-type]


for step in PORTS:
    if step not in ("http", "pipeline"):
        add_serve(step)


@serve.command("pipeline")
@server_options
def serve_pipeline(
    listen: Listen = None,
    describe: Annotated[str, option("Address of describe.", metavar="ADDRESS")] = f"localhost:{PORTS['describe']}",
    detect: Annotated[str, option("Address of detect.", metavar="ADDRESS")] = f"localhost:{PORTS['detect']}",
    segment: Annotated[str, option("Address of segment.", metavar="ADDRESS")] = f"localhost:{PORTS['segment']}",
    postprocess: Annotated[
        str, option("Address of postprocess.", metavar="ADDRESS")
    ] = f"localhost:{PORTS['postprocess']}",
    shm_dir: ShmDir = None,
    no_shm: NoShm = False,
    allow_path: AllowPath = None,
    cache: options.CacheAt = None,
) -> None:
    """Serve the pipeline (default address localhost:50050)."""
    from orchestrator.service import SERVICE
    from orchestrator.stages import Stages

    set_limits(shm_dir, no_shm, allow_path, cache)
    addresses = {"describe": describe, "detect": detect, "segment": segment, "postprocess": postprocess}
    try:
        stages = Stages.connect(addresses)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
    try:
        serve_servicer(SERVICE, SERVICE.servicer(stages), listen)
    finally:
        stages.close()


@serve.command("http")
@client_options
def serve_http(
    listen: Listen = None,
    pipeline: Annotated[str, option("Address of the pipeline.", metavar="ADDRESS")] = PIPELINE,
    allow_origin: Annotated[
        list[str] | None,
        option(
            "Let the pages of this origin call, as https://shop.example; * for all; repeatable.",
            metavar="ORIGIN",
            show_default="none but its own",
        ),
    ] = None,
) -> None:
    """Serve the pipeline over HTTP (default address localhost:8080)."""
    if lost := missing_http():
        typer.echo(f"Error: {lost}", err=True)
        raise typer.Exit(1)
    start_seeing("http")
    keep_large_buffers()
    try:
        server = start_http(listen or f"localhost:{PORTS['http']}", pipeline, allow_origin or ())
    except OSError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    run_servers([server], lambda: log.info("http serves on %s", server.address))


def missing_http() -> str:
    """What to install where the libraries for HTTP are not; "" where they are."""
    if all(map(find_spec, ("starlette", "uvicorn", "python_multipart"))):
        return ""
    return "HTTP needs Starlette and uvicorn; install them with: pip install 'tensorhop[http]'"


def start_http(address: str, pipeline: str, origins: Sequence[str] = ()) -> "HttpServer":
    from web.serve import HttpServer

    return HttpServer(address, pipeline, origins)


def main() -> None:
    """Run the command line. Ends the process."""
    app()

"""The `tensorhop` command."""

import logging
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import options
from orchestrator.bench.cli import bench
from orchestrator.choices import choices_of
from orchestrator.files import TEMPLATE, WrongUse, check_template, find_inputs, suffix_of
from orchestrator.models import models
from orchestrator.options import option
from orchestrator.run import Plan, run
from tensorhop.address import reachable
from tensorhop.command import (
    AllowPath,
    Listen,
    NoShm,
    ShmDir,
    TrustRemoteCode,
    serve_command,
    serve_servicer,
    set_limits,
    start_logging,
)
from tensorhop.errors import InvalidInput
from tensorhop.memory import keep_large_buffers
from tensorhop.server import GRACE_SECONDS, Stoppable
from tensorhop.server import run as run_servers
from tensorhop.settings import PORTS

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

INTERRUPTED = 130


@app.command("run")
def run_command(
    images: options.Images,
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

    3 nothing was found, 4 the endpoint cannot be reached, 130 interrupted.
    """
    from orchestrator.report import Reporter
    from tensorhop.caption import LOOKS, DescribeOptions
    from tensorhop.client import PipelineClient

    set_limits(shm_dir, no_shm)
    keep_large_buffers()
    try:
        choices = choices_of(model or [], device or [], dtype or [], revision or [], trust_remote_code)
        if endpoint and choices:
            raise WrongUse("--model is for services that start here; those of --endpoint run theirs already")
        inputs = find_inputs(images, recursive, out)
        if len(inputs) > 1 and (box or mask):
            raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
        single = out == "-" or (Path(out).suffix != "" and not Path(out).is_dir())
        options.check_out(out, single, len(inputs), overlay, as_json)
        finish = options.finish(
            preset,
            center=center,
            canvas=options.parse_canvas(canvas),
            fill=fill,
            max_scale=max_scale,
            refine=refine,
            decontaminate=decontaminate,
            shadow=shadow,
            rot=rot,
            length=shadow_length,
            softness=shadow_softness,
            opacity=shadow_opacity,
        )
        output = options.output(preset, encoding, out if single else "", name, quality, background)
        template = name or TEMPLATE + suffix_of(output.encoding)
        check_template(template)
        plan = Plan(
            request={
                "phrases": prompt or [],
                "boxes": [options.parse_box(text) for text in box or []],
                "masks": [options.read_mask_file(path) for path in mask or []],
                "max_objects": max_objects,
                "max_parallel": max_parallel,
                "describe": DescribeOptions(look=look or LOOKS[0], prompt=describe_prompt),
                "cache": not no_cache,
                "merge": merge,
                "finish": finish,
                "output": output,
                "return_masks": overlay is not False or save_steps is not None,
                "return_layers": save_steps is not None,
            },
            out=None if out == "-" else Path(out),
            single=single,
            template=template,
            overlay=not single if overlay is None else overlay,
            steps=save_steps,
            fail_fast=fail_fast,
        )
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
    try:
        with ExitStack() as stack:
            if endpoint is None:
                from orchestrator.local import one_process

                servers = stack.enter_context(one_process(dict.fromkeys(PORTS, "127.0.0.1:0"), choices))
                endpoint = servers["pipeline"].address
            client = stack.enter_context(PipelineClient(endpoint))
            code = run(inputs, plan, client, Reporter(as_json))
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        code = INTERRUPTED
    raise typer.Exit(code)


PIPELINE = f"localhost:{PORTS['pipeline']}"
Name = StrEnum("Name", [*PORTS])  # type: ignore[misc]  # the services, as choices of an option


@app.command()
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
    try:
        choices = choices_of(model or [], device or [], dtype or [], revision or [], trust_remote_code)
        if one_process:
            start_logging()
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


def add_serve(name: str) -> None:
    def load() -> object:
        from orchestrator import local

        return local.service(name)

    serve.command(name)(serve_command(name, load, has_model=name != "postprocess"))  # type: ignore[arg-type]


for step in PORTS:
    if step not in ("http", "pipeline"):
        add_serve(step)


@serve.command("pipeline")
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
    start_logging()
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

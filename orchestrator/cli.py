"""The `tensorhop` command."""

import math
import signal
import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.bench.cli import bench
from orchestrator.choices import choices_of
from orchestrator.files import TEMPLATE, WrongUse, check_template, find_inputs
from orchestrator.models import models
from orchestrator.run import Plan, run
from tensorhop.command import (
    AllowPath,
    Device,
    Dtype,
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
from tensorhop.server import GRACE_SECONDS
from tensorhop.server import run as run_servers
from tensorhop.settings import PORTS

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
LOOK, FINISH, OUTPUT = "What to look for", "Finish", "Output"


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


@app.command("run")
def run_command(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, directories, or - (standard input).")],
    prompt: Annotated[
        list[str] | None, option("Look for this; repeatable. Skips describe.", metavar="TEXT", panel=LOOK)
    ] = None,
    box: Annotated[
        list[str] | None,
        option("An object is here, in pixels; repeatable. Skips detect too.", metavar="X0,Y0,X1,Y1", panel=LOOK),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        option(
            "An object is what is white, or opaque, in this picture of the photo's size. Skips segment too.",
            metavar="FILE",
            panel=LOOK,
        ),
    ] = None,
    max_objects: Annotated[int, option("How many objects to cut out, best first.", min=1, panel=LOOK)] = 4,
    max_parallel: Annotated[int, option("How many objects may be finished at once.", min=1, panel=LOOK)] = 4,
    recursive: Annotated[
        bool, option("Look into the folders of directories.", "--recursive", "-r", panel=LOOK)
    ] = False,
    rot: Annotated[
        float,
        option("Where the shadow falls: 0 away from the viewer, 90 right.", metavar="DEGREES", panel=FINISH),
    ] = 60.0,
    shadow: Annotated[bool, option("Cast a shadow.", "--shadow/--no-shadow", panel=FINISH)] = True,
    center: Annotated[
        bool,
        option(
            "Center the object on a square, or leave it where it is in the photo.", "--center/--no-center", panel=FINISH
        ),
    ] = True,
    decontaminate: Annotated[
        bool,
        option("Take the background's colour out of soft edges.", "--decontaminate/--no-decontaminate", panel=FINISH),
    ] = True,
    out: Annotated[
        str,
        option(
            "A directory; or, for the best object only, a .png file or - (standard output).",
            "--out",
            "-o",
            metavar="PATH",
            panel=OUTPUT,
        ),
    ] = "out",
    name: Annotated[
        str, option("File names, made of {stem}, {index}, {label} and {score}.", metavar="TEMPLATE", panel=OUTPUT)
    ] = TEMPLATE,
    overlay: Annotated[
        bool | None,
        option(
            "Write an overview with boxes and labels too.",
            "--overlay/--no-overlay",
            panel=OUTPUT,
            show_default="on for a directory",
        ),
    ] = None,
    as_json: Annotated[bool, option("Print one JSON object an event.", "--json", panel=OUTPUT)] = False,
    save_steps: Annotated[
        Path | None, option("Write every intermediate here, as a picture and an .npy.", metavar="DIR", panel=OUTPUT)
    ] = None,
    fail_fast: Annotated[bool, option("Stop at the first photo that fails.", "--fail-fast")] = False,
    endpoint: Annotated[
        str | None,
        option(
            "A running pipeline. Without it the services start in this process.",
            metavar="HOST:PORT",
            envvar="TENSORHOP_ENDPOINT",
        ),
    ] = None,
    shm_dir: ShmDir = None,
    no_shm: NoShm = False,
) -> None:
    """Cut the objects out of photos.

    Exit code: 0 every photo gave a cut-out, 1 something failed, 2 wrong use,

    3 nothing was found, 4 the endpoint cannot be reached, 130 interrupted.
    """
    from orchestrator.report import Reporter
    from tensorhop.client import PipelineClient
    from tensorhop.finish import Finish

    set_limits(shm_dir, no_shm)
    keep_large_buffers()
    try:
        inputs = find_inputs(images, recursive, out)
        if len(inputs) > 1 and (box or mask):
            raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
        if not math.isfinite(rot):
            raise WrongUse(f"--rot is {rot}; it must be finite")
        check_template(name)
        single = out == "-" or (Path(out).suffix != "" and not Path(out).is_dir())
        check_output(out, single, len(inputs), overlay, as_json)
        plan = Plan(
            request={
                "phrases": prompt or [],
                "boxes": [parse_box(text) for text in box or []],
                "masks": [read_mask_file(path) for path in mask or []],
                "max_objects": max_objects,
                "max_parallel": max_parallel,
                "finish": Finish(center, decontaminate, "cast" if shadow else "none", rot),
                "return_masks": overlay is not False or save_steps is not None,
                "return_layers": save_steps is not None,
            },
            out=None if out == "-" else Path(out),
            single=single,
            template=name,
            overlay=not single if overlay is None else overlay,
            steps=save_steps,
            fail_fast=fail_fast,
        )
    except WrongUse as error:
        raise typer.BadParameter(str(error)) from error
    try:
        with ExitStack() as stack:
            if endpoint is None:
                from orchestrator.local import one_process

                servers = stack.enter_context(one_process(dict.fromkeys(PORTS, "127.0.0.1:0")))
                endpoint = servers["pipeline"].address
            client = stack.enter_context(PipelineClient(endpoint))
            code = run(inputs, plan, client, Reporter(as_json))
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        code = INTERRUPTED
    raise typer.Exit(code)


def check_output(out: str, single: bool, inputs: int, overlay: bool | None, as_json: bool) -> None:
    """Raises WrongUse: an --out that the other options contradict."""
    if not single:
        return
    if inputs > 1:
        raise WrongUse(f"--out {out} is one file, and there are {inputs} photos; name a directory")
    if overlay:
        raise WrongUse(f"--overlay needs a directory; --out is {out}")
    if out == "-" and as_json:
        raise WrongUse("--json and --out - both want standard output")
    if out == "-" and sys.stdout.isatty():
        raise WrongUse("--out - would print a picture on the terminal; send it to a file or a pipe")
    if out != "-" and Path(out).suffix.lower() != ".png":
        raise WrongUse(f"--out {out} does not end in .png, the format that is written; a directory has no suffix")


def parse_box(text: str) -> tuple[float, ...]:
    """Raises WrongUse: not four finite numbers, or inverted."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise WrongUse(f"--box {text!r} is not x0,y0,x1,y1") from error
    if not all(map(math.isfinite, (x0, y0, x1, y1))) or x0 >= x1 or y0 >= y1:
        raise WrongUse(f"--box {text!r} must be finite, with x0 < x1 and y0 < y1")
    return x0, y0, x1, y1


def read_mask_file(path: Path) -> object:
    """Raises WrongUse: the file cannot be read or is no picture."""
    from tensorhop.image import decode_mask

    try:
        return decode_mask(path.read_bytes(), f"--mask {path}")
    except (OSError, InvalidInput) as error:
        raise WrongUse(str(error)) from error


StepModel = Annotated[
    list[str] | None,
    option(
        "Model of a step: a preset, a hub id, a directory or an .onnx file; repeatable.",
        metavar="STEP=NAME",
        show_default="embedded",
    ),
]
StepRevision = Annotated[
    list[str] | None, option("Branch, tag or commit of a step's hub id; repeatable.", metavar="STEP=COMMIT")
]
Name = StrEnum("Name", [*PORTS])  # type: ignore[misc]  # the services, as choices of an option


@app.command()
def up(
    host: Annotated[str, option("Where to listen.", metavar="HOST")] = "localhost",
    only: Annotated[list[Name] | None, option("Start only this; repeatable.")] = None,
    one_process: Annotated[bool, option("All in one process, with one CUDA context.", "--one-process")] = False,
    model: StepModel = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    revision: StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
    shm_dir: ShmDir = None,
    no_shm: NoShm = False,
    allow_path: AllowPath = None,
) -> None:
    """Start the services and the pipeline on their default ports, and supervise them until Ctrl-C."""
    from orchestrator import local

    set_limits(shm_dir, no_shm, allow_path)
    names = [name for name in reversed(PORTS) if not only or name in only]
    addresses = {name: f"{host}:{PORTS[name]}" for name in names}
    try:
        choices = choices_of(model or [], device, dtype, revision or [], trust_remote_code)
        if one_process:
            start_logging()
            keep_large_buffers()
            with local.one_process(addresses, choices, GRACE_SECONDS) as servers:
                found = {name: server.address for name, server in servers.items()}
                run_servers([], lambda: announce(found))
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
    if step != "pipeline":
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
) -> None:
    """Serve the pipeline (default address localhost:50050)."""
    from orchestrator.service import SERVICE
    from orchestrator.stages import Stages

    set_limits(shm_dir, no_shm, allow_path)
    addresses = {"describe": describe, "detect": detect, "segment": segment, "postprocess": postprocess}
    stages = Stages.connect(addresses)
    try:
        serve_servicer(SERVICE, SERVICE.servicer(stages), listen)
    finally:
        stages.close()


def main() -> None:
    """Run the command line. Ends the process."""
    app()

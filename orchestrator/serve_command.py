"""`tensorhop serve`: one step, the pipeline that chains them, or its HTTP front."""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.options import option
from tensorhop.command import Listen, serve_command, serve_servicer, start_seeing
from tensorhop.errors import InvalidInput
from tensorhop.memory import keep_large_buffers
from tensorhop.server import run as run_servers
from tensorhop.server_options import client_options, pipeline_options
from tensorhop.settings import PORTS

if TYPE_CHECKING:
    from web.serve import HttpServer

log = logging.getLogger(__name__)

serve = typer.Typer(help="Serve one step, or the pipeline that chains them.", no_args_is_help=True)
PIPELINE = f"localhost:{PORTS['pipeline']}"


def add_serve(name: str) -> None:
    def load() -> object:
        from orchestrator import local

        return local.service(name)

    serve.command(name)(serve_command(name, load, has_model=name != "postprocess"))  # type: ignore[arg-type]


for step in PORTS:
    if step not in ("http", "pipeline"):
        add_serve(step)


@serve.command("pipeline")
@pipeline_options
def serve_pipeline(
    listen: Listen = None,
    describe: Annotated[str, option("Address of describe.", metavar="ADDRESS")] = f"localhost:{PORTS['describe']}",
    detect: Annotated[str, option("Address of detect.", metavar="ADDRESS")] = f"localhost:{PORTS['detect']}",
    segment: Annotated[str, option("Address of segment.", metavar="ADDRESS")] = f"localhost:{PORTS['segment']}",
    postprocess: Annotated[
        str, option("Address of postprocess.", metavar="ADDRESS")
    ] = f"localhost:{PORTS['postprocess']}",
) -> None:
    """Serve the pipeline (default address localhost:50050)."""
    from orchestrator.service import SERVICE
    from orchestrator.stages import Stages

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

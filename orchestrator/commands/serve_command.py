"""`tensorhop serve`: any service, a chain that calls others, or HTTP in front of the pipeline."""

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.extras import install_command
from tensorhop.orchestrator.commands.jobs.serve_jobs import CHAINS, serve_jobs_command, worker_command
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.jobs.service import SERVICE as JOBS
from tensorhop.rpc.registry import HTTP_PORT, services, steps_of
from tensorhop.rpc.service import Service
from tensorhop.serving.command import Listen, default_address, help_of, serve_command, serve_servicer, start_observing
from tensorhop.serving.options import add_options
from tensorhop.serving.settings_options import http_options, pipeline_options

if TYPE_CHECKING:
    from tensorhop.web.serve import HttpServer

log = logging.getLogger(__name__)

serve = typer.Typer(help="Serve one service, a chain that calls others, or HTTP.", no_args_is_help=True)


def address_options(called: dict[str, Service], default: str | None = None) -> dict[str, Any]:
    """An option --NAME ADDRESS for each service.

    Args:
        default: what `--help` says of one that is not given; its default address if None.
    """
    return {
        name: Annotated[
            str | None,
            typer.Option(
                f"--{name.replace('_', '-')}",
                metavar="ADDRESS",
                help=f"Address of {name}.",
                show_default=default or default_address(service),
            ),
        ]
        for name, service in called.items()
    }


def serve_chain_command(chain: Service) -> Callable[..., None]:
    """The function behind a chain's command."""

    def command(addresses: dict[str, str], listen: Listen = None) -> None:
        from tensorhop.orchestrator.chain.steps import Steps

        try:
            steps = Steps.connect(chain, addresses)
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from error
        try:
            serve_servicer(chain, chain.make_servicer(steps), listen)
        finally:
            steps.close()

    told = add_options(command, address_options(steps_of(chain)), lambda given: {"addresses": given})
    told.__doc__ = help_of(chain)
    return pipeline_options(told)


class Answer(StrEnum):
    json = "json"
    multipart = "multipart"


def serve_http(
    addresses: dict[str, str],
    listen: Listen = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Let pages of this origin call, such as https://shop.example; * for all; repeatable.",
            metavar="ORIGIN",
            show_default="none but its own",
        ),
    ] = None,
    answer: Annotated[
        Answer,
        typer.Option(
            help="Answer POST /process in this form where Accept allows all: multipart is what older clients read."
        ),
    ] = Answer.json,
) -> None:
    """Serve the pipeline, and single services, over HTTP (default address localhost:8080)."""
    from tensorhop.serving.shutdown import run_until_signal
    from tensorhop.wire.allocator import keep_large_buffers

    if lost := missing_http():
        typer.echo(f"Error: {lost}", err=True)
        raise typer.Exit(1)
    start_observing("http")
    keep_large_buffers()
    try:
        server = start_http(
            listen or f"localhost:{HTTP_PORT}", addresses, allow_origin or (), answer is Answer.multipart
        )
    except (InvalidInput, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    run_until_signal([server], lambda: log.info("http serves on %s", server.address))


def chain_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the addresses of all chains to a command."""
    return add_options(command, address_options(CHAINS), lambda given: {"addresses": given})


def command_of(service: Service) -> Callable[..., None]:
    """The function behind the command of a service or a chain."""
    if service is JOBS:
        return serve_jobs_command(chain_options)
    return serve_chain_command(service) if service.calls else serve_command(service)


for one in services().values():
    serve.command(one.name)(command_of(one))
worker = worker_command(chain_options)
serve.command("http")(
    http_options(add_options(serve_http, address_options(services()), lambda given: {"addresses": given}))
)


def missing_http() -> str:
    """What to install where the libraries for HTTP are not; "" where they are."""
    if all(map(find_spec, ("starlette", "uvicorn", "python_multipart"))):
        return ""
    return f"HTTP needs Starlette and uvicorn; install them with: {install_command('http')}"


def start_http(
    address: str, addresses: Mapping[str, str], origins: Sequence[str] = (), multipart: bool = False
) -> "HttpServer":
    """The HTTP server, started.

    Args:
        addresses: of services, by name; the default address of each that is not among them.
        origins, multipart: as of `HttpServer`.
    """
    from tensorhop.web.serve import HttpServer

    others = {name: one for name, one in addresses.items() if name != PIPELINE.name}
    pipeline = addresses.get(PIPELINE.name) or default_address(PIPELINE)
    return HttpServer(address, pipeline, origins, services=others, multipart=multipart)

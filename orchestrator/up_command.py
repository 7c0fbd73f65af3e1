"""`tensorhop up` and `tensorhop status`: all services on their default ports."""

import signal
from enum import StrEnum
from typing import Annotated

import typer

from orchestrator import options
from orchestrator.choices import choices_of
from orchestrator.files import WrongUse
from orchestrator.options import option
from orchestrator.serve_command import PIPELINE, missing_http, start_http
from tensorhop.address import reachable
from tensorhop.command import TrustRemoteCode, start_seeing
from tensorhop.errors import InvalidInput
from tensorhop.memory import keep_large_buffers
from tensorhop.security import from_environment
from tensorhop.server import GRACE_SECONDS, Stoppable
from tensorhop.server import run as run_servers
from tensorhop.server_options import client_options, pipeline_options
from tensorhop.settings import PORTS

INTERRUPTED = 130
Name = StrEnum("Name", [*PORTS])  # type: ignore[misc]  # the services, as choices of an option


@pipeline_options
def up(
    host: Annotated[str, option("Where to listen.", metavar="HOST")] = "localhost",
    only: Annotated[list[Name] | None, option("Start only this; repeatable.")] = None,
    one_process: Annotated[bool, option("All in one process, with one CUDA context.", "--one-process")] = False,
    model: options.StepModel = None,
    device: options.StepDevice = None,
    dtype: options.StepDtype = None,
    revision: options.StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Start the services and the pipeline on their default ports, and supervise them until Ctrl-C."""
    from orchestrator import local

    names = [name for name in reversed(PORTS) if not only or name in only]
    if "http" in names and (lost := missing_http()):
        if only:
            typer.echo(f"Error: {lost}", err=True)
            raise typer.Exit(1)
        typer.echo(f"http is left out: {lost}", err=True)
        names.remove("http")
    addresses = {name: f"{host}:{PORTS[name]}" for name in names}
    try:
        from_environment().check_client()  # the pipeline is a client of the services
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
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

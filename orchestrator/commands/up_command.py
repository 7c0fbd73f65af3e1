"""`tensorhop up`: the pipeline and its services on their default ports, and further chains with theirs."""

import contextlib
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.commands.jobs.serve_jobs import check_libraries, load_jobs
from tensorhop.orchestrator.commands.run_options import option
from tensorhop.orchestrator.commands.serve_command import missing_http, start_http
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.jobs.service import SERVICE as JOBS
from tensorhop.rpc.registry import HTTP, chains, ports, services
from tensorhop.serving.command import AcceptLicense, TrustRemoteCode, start_observing
from tensorhop.serving.settings_options import all_server_options

if TYPE_CHECKING:
    from tensorhop.serving.shutdown import Stoppable

STARTED = (*PIPELINE.calls, PIPELINE.name, HTTP)  # in this order, unless --only names others
CHAINS = tuple(name for name in chains() if name != PIPELINE.name)  # that --chain adds


@all_server_options
def up(
    host: Annotated[str, option("Listen on this host name or address.", metavar="HOST")] = "localhost",
    only: Annotated[
        list[str] | None,
        option("Start only this service; repeatable.", metavar="NAME", show_default=", ".join(STARTED)),
    ] = None,
    chain: Annotated[
        list[str] | None,
        option(
            f"Start this chain too, with the services that it calls: {', '.join(CHAINS)}; repeatable.",
            metavar="NAME",
            show_default="none",
        ),
    ] = None,
    jobs: Annotated[bool, option("Start the server of jobs too.", "--jobs")] = False,
    one_process: Annotated[
        bool, option("Run all services in one process, with one CUDA context.", "--one-process")
    ] = False,
    model: run_options.StepModel = None,
    device: run_options.StepDevice = None,
    dtype: run_options.StepDtype = None,
    revision: run_options.StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
    accept_license: AcceptLicense = False,
) -> None:
    """Start the services and the pipeline on their default ports, and supervise them until Ctrl-C."""
    from tensorhop.address import reachable, split, with_port
    from tensorhop.orchestrator.launch import in_process, processes
    from tensorhop.orchestrator.launch.model_choices import model_choices
    from tensorhop.rpc.security import Security
    from tensorhop.rpc.server import GRACE_SECONDS, Server
    from tensorhop.serving.shutdown import hearing, run_until_signal
    from tensorhop.wire.allocator import keep_large_buffers

    check_names(only or ())
    names = [name for name in reversed(ports()) if name in only] if only else started_with(chain or (), jobs)
    if only and chain:
        raise typer.BadParameter("--only names all that starts; name the chain and its services there, without --chain")
    if JOBS.name in names:
        check_libraries()
    if HTTP in names and (lost := missing_http()):
        if only:
            typer.echo(f"Error: {lost}", err=True)
            raise typer.Exit(1)
        typer.echo(f"http is left out: {lost}", err=True)
        names.remove(HTTP)
    addresses = {name: with_port(host, ports()[name]) for name in names}
    try:
        for address in addresses.values():
            split(address)
    except OSError as error:
        raise typer.BadParameter(f"--host is {host!r}; it must be a name or an IP address, without a port") from error
    try:
        Security.of().check_client()  # the pipeline is a client of the services
        choices = model_choices(
            model or [], device or [], dtype or [], revision or [], trust_remote_code, accept_license, names
        )
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
    try:
        if one_process:
            start_observing("tensorhop")
            keep_large_buffers()
            with (
                in_process.one_process(addresses, choices, GRACE_SECONDS) as servers,
                contextlib.ExitStack() as stack,
            ):
                found = {name: server.address for name, server in servers.items()}
                first: list[Stoppable] = []
                told = {name: reachable(address) for name, address in addresses.items() if name != HTTP}
                if JOBS.name in addresses:
                    servicer = load_jobs(told)
                    stack.callback(servicer.close)
                    first.append(Server(JOBS, servicer, addresses[JOBS.name]))
                    found[JOBS.name] = addresses[JOBS.name]
                if HTTP in addresses:
                    first.append(start_http(addresses[HTTP], told))
                    found[HTTP] = addresses[HTTP]
                run_until_signal([*first, *servers.values()], lambda: announce(found))
            return
        children = processes.children(addresses, choices)
        ends = [signal.SIGINT, signal.SIGTERM]  # a shell has its background jobs ignore SIGINT
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it; otherwise the terminal has gone
            ends.append(signal.SIGHUP)
        with processes.claims(addresses.values()):
            try:
                with hearing(*ends) as wait:

                    def pause(seconds: float) -> None:
                        if wait(seconds):
                            raise KeyboardInterrupt

                    processes.start(children, pause)
                    announce(addresses)
                    processes.supervise(children, lambda message: typer.echo(message, err=True), pause)
            except KeyboardInterrupt:
                with contextlib.suppress(OSError):
                    typer.echo("stopping", err=True)
            finally:
                processes.stop(children)
    except (InvalidInput, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def check_names(names: list[str] | tuple[str, ...]) -> None:
    """Raises typer.BadParameter: one of them is no service."""
    for name in names:
        if name not in ports():
            raise typer.BadParameter(f"--only is {name!r}; it must be one of {', '.join(ports())}")


def started_with(added: list[str] | tuple[str, ...], jobs: bool = False) -> list[str]:
    """What starts, in order: services, chains, jobs, HTTP. Raises typer.BadParameter: a name is no chain's."""
    for name in added:
        if name not in CHAINS:
            raise typer.BadParameter(f"--chain is {name!r}; it must be one of {', '.join(CHAINS)}")
    called = [step for name in added for step in services()[name].calls]
    return list(dict.fromkeys([*PIPELINE.calls, *called, PIPELINE.name, *added, *([JOBS.name] if jobs else []), HTTP]))


def announce(addresses: dict[str, str]) -> None:
    """Print where what was started listens, and, as soon as it is, that it is ready."""
    from tensorhop.orchestrator.launch.readiness import say_when_ready

    for name, address in addresses.items():
        typer.echo(f"{name:<12} {address}", err=True)
    say_when_ready(addresses, lambda message: typer.echo(message, err=True))

"""`tensorhop serve jobs` and `tensorhop worker`."""

import logging
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.extras import install_command
from tensorhop.orchestrator.jobs.service import SERVICE
from tensorhop.rpc.registry import chains
from tensorhop.serving.command import Listen, help_of, serve_servicer, start_observing
from tensorhop.serving.settings_options import job_server_options, worker_options

if TYPE_CHECKING:
    from tensorhop.orchestrator.jobs.servicer import JobServicer

log = logging.getLogger(__name__)
CHAINS = chains()


def missing_jobs() -> str:
    """What to install where the libraries for jobs are not; "" where they are."""
    if all(map(find_spec, ("dramatiq", "standardwebhooks"))):
        return ""
    return f"jobs need Dramatiq and standardwebhooks; install them with: {install_command('jobs')}"


def check_libraries() -> None:
    """End the process with a message where the libraries for jobs are not."""
    if lost := missing_jobs():
        typer.echo(f"Error: {lost}", err=True)
        raise typer.Exit(1)


def load_jobs(addresses: Mapping[str, str]) -> "JobServicer":
    """The servicer. Ends the process with a message if its store or queue cannot be used.

    Args:
        addresses: of services, by name; those that are no chains are passed over.
    """
    from tensorhop.orchestrator.jobs.servicer import JobServicer

    try:
        return JobServicer({name: one for name, one in addresses.items() if name in CHAINS})
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def serve_jobs_command(chain_options: Callable[..., Any]) -> Callable[..., None]:
    """The function behind `tensorhop serve jobs`.

    Args:
        chain_options: adds the options of the chains' addresses.
    """

    def command(addresses: dict[str, str], listen: Listen = None) -> None:
        check_libraries()
        servicer = load_jobs(addresses)
        try:
            serve_servicer(SERVICE, servicer, listen)
        finally:
            servicer.close()

    command.__doc__ = help_of(SERVICE)
    told: Callable[..., None] = chain_options(command)
    return job_server_options(told)


def worker_command(chain_options: Callable[..., Any]) -> Callable[..., None]:
    """The function behind `tensorhop worker`."""

    def command(addresses: dict[str, str]) -> None:
        """Run jobs and deliver webhooks that `tensorhop serve jobs --jobs-redis URL` has queued."""
        from tensorhop.settings import current_settings

        check_libraries()
        if not current_settings().jobs_redis:
            raise typer.BadParameter("--jobs-redis is missing; without it, `tensorhop serve jobs` runs its jobs itself")
        from tensorhop.orchestrator.jobs.servicer import Jobs
        from tensorhop.serving.shutdown import run_until_signal
        from tensorhop.wire.allocator import keep_large_buffers

        keep_large_buffers()
        try:
            start_observing("tensorhop-worker")
            jobs = Jobs(addresses)
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from error
        except OSError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from error
        jobs.work()
        run_until_signal([Stopping(jobs.close)], lambda: log.info("the worker takes jobs"))

    told: Callable[..., None] = chain_options(command)
    return worker_options(told)


class Stopping:
    """What `run_until_signal` stops, of a function that returns when all is over."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close

    def stop(self) -> threading.Event:
        over = threading.Event()
        self._close()
        over.set()
        return over

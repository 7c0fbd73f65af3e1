"""The command line of one service, the same for `tensorhop serve NAME` and `python -m services.NAME`."""

import logging
from collections.abc import Callable
from typing import Annotated

import typer

from tensorhop.errors import InvalidInput
from tensorhop.server import Server, Service, run
from tensorhop.settings import PORTS

log = logging.getLogger(__name__)

Listen = Annotated[str | None, typer.Option(metavar="ADDRESS", help="HOST:PORT, or unix:PATH.", show_default=False)]
Model = Annotated[str, typer.Option(metavar="NAME", help="Which model to run.")]


def serve_command(name: str, service: Callable[[], Service], has_model: bool = True) -> Callable[..., None]:
    """The function behind a service's command; `service` imports it, and so its libraries, only when it runs."""

    def command(listen: Listen = None, model: Model = "embedded") -> None:
        serve(service(), listen, model)

    def command_without_model(listen: Listen = None) -> None:
        serve(service(), listen)

    chosen = command if has_model else command_without_model
    chosen.__doc__ = f"Serve {name} (default address localhost:{PORTS[name]})."
    return chosen


def serve(service: Service, listen: str | None = None, model: str = "") -> None:
    """Load the model and serve until SIGTERM or SIGINT. Ends the process with a message if it cannot start."""
    try:
        serve_servicer(service, service.load(model), listen)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error


def serve_servicer(service: Service, servicer: object, listen: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process with a message if the address cannot be had."""
    start_logging()
    try:
        server = Server(service, servicer, listen or f"localhost:{PORTS[service.name]}")
    except OSError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    run([server], lambda: log.info("%s serves on %s", service.name, server.address))


def start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

"""The command line of one service, the same for `tensorhop serve NAME` and `python -m services.NAME`."""

import logging
from collections.abc import Callable
from typing import Annotated

import typer

from tensorhop.errors import InvalidInput
from tensorhop.logs import start_logging
from tensorhop.memory import keep_large_buffers
from tensorhop.server import EMBEDDED_CHOICE, Server, Service, run
from tensorhop.server_options import server_options
from tensorhop.settings import PORTS, limits
from tensorhop.source import EMBEDDED, Choice
from tensorhop.telemetry import serve_metrics
from tensorhop.tracing import start_tracing

log = logging.getLogger(__name__)

Listen = Annotated[str | None, typer.Option(metavar="ADDRESS", help="HOST:PORT, or unix:PATH.", show_default=False)]
Model = Annotated[str, typer.Option(metavar="NAME", help="embedded, a preset, a hub id, a directory or an .onnx file.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[str, typer.Option(metavar="NAME", help="auto, float32, bfloat16 or float16.")]
Revision = Annotated[
    str, typer.Option(metavar="COMMIT", help="Branch, tag or commit of a hub id.", show_default="the hub's default")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that the model's repository brings.")
]


def serve_command(name: str, service: Callable[[], Service], has_model: bool = True) -> Callable[..., None]:
    """The function behind a service's command; `service` imports it, and so its libraries, only when it runs."""

    def command(
        listen: Listen = None,
        model: Model = EMBEDDED,
        device: Device = "auto",
        dtype: Dtype = "auto",
        revision: Revision = "",
        trust_remote_code: TrustRemoteCode = False,
    ) -> None:
        serve(service(), listen, Choice(model, device, dtype, revision, trust_remote_code))

    def command_without_model(listen: Listen = None) -> None:
        serve(service(), listen)

    chosen = server_options(command if has_model else command_without_model)
    chosen.__doc__ = f"Serve {name} (default address localhost:{PORTS[name]})."
    return chosen


def serve(service: Service, listen: str | None = None, choice: Choice = EMBEDDED_CHOICE) -> None:
    """Load the model and serve until SIGTERM or SIGINT. Ends the process with a message if it cannot start."""
    try:
        serve_servicer(service, service.load(choice), listen)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error


def serve_servicer(service: Service, servicer: object, listen: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process with a message if it cannot."""
    keep_large_buffers()
    try:
        start_seeing(f"tensorhop-{service.name}")
        server = Server(service, servicer, listen or f"localhost:{PORTS[service.name]}")
    except (InvalidInput, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    run([server], lambda: log.info("%s serves on %s", service.name, server.address))


def start_seeing(name: str) -> None:
    """Start the log, and metrics and traces if they are wanted. Raises OSError, InvalidInput."""
    start_logging(limits().log_format)
    start_tracing(name)
    if limits().metrics:
        serve_metrics(limits().metrics)

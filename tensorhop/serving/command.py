"""The command line of one service, the same for `tensorhop serve NAME` and `python -m tensorhop.services.NAME`."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from tensorhop.errors import InvalidInput
from tensorhop.rpc.service import Service
from tensorhop.serving.settings_options import server_options

if TYPE_CHECKING:
    from tensorhop.models.sources import ModelChoice

log = logging.getLogger(__name__)

Listen = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Listen here: HOST:PORT, or unix:PATH.", show_default=False)
]
Model = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Run this model: embedded, a preset, a hub id, a directory, an .onnx file or oip://HOST:PORT/NAME.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Run it on this device: auto, cpu, cuda or cuda:N; .onnx files also on tensorrt or openvino.",
    ),
]
Dtype = Annotated[
    str,
    typer.Option(metavar="NAME", help="Run it with this number type: auto, float32, bfloat16, float16, nf4 or int8."),
]
Revision = Annotated[
    str,
    typer.Option(
        metavar="COMMIT", help="Take this branch, tag or commit of a hub id.", show_default="the hub's default"
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that the model's repository brings.")
]
AcceptLicense = Annotated[
    bool, typer.Option("--accept-license", help="Fetch a model whose license forbids commercial use.")
]


def serve_command(service: Service) -> Callable[..., None]:
    """The function behind a service's command. It imports the service's libraries only when it runs."""

    def command(
        listen: Listen = None,
        model: Model = "embedded",
        device: Device = "auto",
        dtype: Dtype = "auto",
        revision: Revision = "",
        trust_remote_code: TrustRemoteCode = False,
        accept_license: AcceptLicense = False,
    ) -> None:
        from tensorhop.models.sources import ModelChoice

        serve(service, listen, ModelChoice(model, device, dtype, revision, trust_remote_code, accept_license))

    def command_without_model(listen: Listen = None) -> None:
        serve(service, listen)

    chosen = server_options(command if service.models else command_without_model, service.settings)
    chosen.__doc__ = help_of(service)
    return chosen


def help_of(service: Service) -> str:
    """What `--help` says of a service."""
    return f"{service.summary or service.name} (default address {default_address(service)})"


def default_address(service: Service) -> str:
    """Where a service listens unless told otherwise; port 0, any free one, for a service that states none."""
    return f"localhost:{service.port}"


def serve(service: Service, listen: str | None = None, choice: "ModelChoice | None" = None) -> None:
    """Load the model and serve until SIGTERM or SIGINT. Ends the process with a message if it cannot start."""
    try:
        servicer = service.load(choice)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error
    serve_servicer(service, servicer, listen)


def serve_servicer(service: Service, servicer: object, listen: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process with a message if it cannot."""
    from tensorhop.rpc.server import Server
    from tensorhop.serving.shutdown import run_until_signal
    from tensorhop.wire.allocator import keep_large_buffers

    keep_large_buffers()
    try:
        start_observing(f"tensorhop-{service.name}")
        server = Server(service, servicer, listen or default_address(service))
    except (InvalidInput, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    run_until_signal([server], lambda: log.info("%s serves on %s", service.name, server.address))


def start_observing(name: str) -> None:
    """Start the log, and metrics and traces if they are wanted. Raises OSError, InvalidInput."""
    from tensorhop.observe.logs import start_logging
    from tensorhop.observe.metrics import serve_metrics
    from tensorhop.observe.tracing import start_tracing
    from tensorhop.settings import current_settings

    settings = current_settings()
    start_logging(settings.log_format)
    start_tracing(name)
    if settings.metrics:
        serve_metrics(settings.metrics)

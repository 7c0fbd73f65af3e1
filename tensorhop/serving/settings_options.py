"""The options that become settings of the process, and of its children, by the commands that have them."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.serving.options import add_options

if TYPE_CHECKING:
    from tensorhop.settings import Settings

SECURITY, SEEING = "Security", "Seeing"


def _path(text: str, metavar: str = "FILE", panel: str | None = SECURITY) -> Any:
    return Annotated[Path | None, typer.Option(metavar=metavar, help=text, rich_help_panel=panel, show_default=False)]


def _flag(text: str, name: str, panel: str | None = SECURITY) -> Any:
    return Annotated[bool | None, typer.Option(name, help=text, rich_help_panel=panel, show_default=False)]


LogFormat = StrEnum("LogFormat", ["text", "json"])

# By setting, the type of its option.
SHARING = {
    "shm_dir": _path("Folder of shared memory, the same for all services of a host.", "DIR", None),
    "shm_bytes": _flag("Send all tensors inside the messages.", "--no-shm", None),
}
CLIENT = {
    "tls_ca": _path("Certificates (PEM) of the authorities to trust; connections are encrypted."),
    "tls_cert": _path("Certificate (PEM, with its chain) to show."),
    "tls_key": _path("Its key (PEM)."),
    "token_file": _path("Tokens, one a line: the first is sent, any is taken."),
}
SERVER = {
    **SHARING,
    "allow_path": _path("Let callers name image files in this folder; otherwise they cannot.", "ROOT", None),
    **CLIENT,
    "require_client_cert": _flag("Refuse clients without a certificate of --tls-ca.", "--require-client-cert"),
    "open_health": _flag("Health needs a token, too.", "--closed-health"),
    "open_reflection": _flag("Reflection needs no token.", "--open-reflection"),
    "reflection": _flag("Do not tell what is served.", "--no-reflection"),
    "metrics": Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Metrics for Prometheus.", rich_help_panel=SEEING, show_default="off"),
    ],
    "log_format": Annotated[
        LogFormat | None, typer.Option(help="How the log looks.", rich_help_panel=SEEING, show_default="text")
    ],
}
PIPELINE = SERVER | {
    "cache": Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Where intermediate results are kept: memory, none, or redis://HOST:PORT/DB for several pipelines.",
            show_default="memory",
        ),
    ]
}
FLAG_VALUES = {  # by setting, what its flag makes of it
    "shm_bytes": 0,
    "require_client_cert": True,
    "open_health": False,
    "open_reflection": True,
    "reflection": False,
}


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of servers to a command."""
    return _with(command, SERVER)


def pipeline_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a pipeline's server to a command."""
    return _with(command, PIPELINE)


def client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of clients to a command."""
    return _with(command, CLIENT)


def sharing_client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of clients that may start the services themselves to a command."""
    return _with(command, SHARING | CLIENT)


def _with(command: Callable[..., None], options: dict[str, Any]) -> Callable[..., None]:
    def install(given: dict[str, Any]) -> dict[str, Any]:
        from tensorhop.settings import Settings, use_settings

        try:
            settings = Settings(**{name: _value(name, value) for name, value in given.items()})
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from error
        check(settings, client="require_client_cert" not in options)
        use_settings(settings)
        return {}

    return add_options(command, options, install)


def _value(name: str, given: Any) -> Any:
    """What a setting becomes by its option."""
    if isinstance(given, Path):
        return str(given.absolute())
    return FLAG_VALUES.get(name, given)


def check(settings: "Settings", client: bool) -> None:
    """End with a message, before anything starts, if what the options name cannot be used."""
    from tensorhop.rpc.security import Security
    from tensorhop.rpc.tokens import Tokens

    try:
        security = Security.of(settings)
        security.check()
        if client:
            security.check_client()
        if security.token_file:
            Tokens(security.token_file)
        if not client:
            check_server(settings)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error


def check_server(settings: "Settings") -> None:
    """Raises InvalidInput: a folder or an address that only servers use cannot be used."""
    from tensorhop.address import split

    shm_dir = settings.shm_dir if "shm_dir" in settings.model_fields_set else ""
    for option, folder in (("--allow-path", settings.allow_path), ("--shm-dir", shm_dir)):
        if folder and not Path(folder).is_dir():
            raise InvalidInput(option, f"names {folder}, which is no folder")
    if settings.metrics:
        try:
            split(settings.metrics)
        except OSError as error:
            raise InvalidInput("--metrics", f"is {settings.metrics!r}; it must be HOST:PORT") from error

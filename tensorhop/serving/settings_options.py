"""The options that become settings of the process, and of its children, by the commands that have them."""

import os
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.serving.options import add_options

if TYPE_CHECKING:
    from tensorhop.settings import Settings

SECURITY, OBSERVE, RECORD = "Security", "Observability", "Recording"


def _path(text: str, metavar: str = "FILE", panel: str | None = SECURITY) -> Any:
    return Annotated[Path | None, typer.Option(metavar=metavar, help=text, rich_help_panel=panel, show_default=False)]


def _flag(text: str, name: str, panel: str | None = SECURITY) -> Any:
    return Annotated[bool | None, typer.Option(name, help=text, rich_help_panel=panel, show_default=False)]


def _text(text: str, metavar: str, default: str) -> Any:
    option = typer.Option(metavar=metavar, help=text, rich_help_panel=RECORD, show_default=default)
    return Annotated[str | None, option]


LogFormat = StrEnum("LogFormat", ["text", "json"])
RecordPixels = StrEnum("RecordPixels", ["all", "none"])

# By setting, the type of its option.
SHARING = {
    "shm_dir": _path("Keep shared memory in this folder, the same for all services of a host.", "DIR", None),
    "shm_bytes": _flag("Send all tensors inside the messages.", "--no-shm", None),
}
CLIENT = {
    "tls_ca": _path("Trust the authorities whose certificates (PEM) are in this file, and encrypt connections."),
    "tls_cert": _path("Show this certificate (PEM, with its chain)."),
    "tls_key": _path("Use this key (PEM) of the certificate."),
    "token_file": _path(
        "Read tokens from this file, one per line. A client sends the first; a server accepts any of them."
    ),
}
ALLOW_PATH = {"allow_path": _path("Let callers name image files in this folder; otherwise they cannot.", "ROOT", None)}
ALLOW_WRITE = {
    "allow_write": _path("Let callers of HTTP have pictures written in this folder; otherwise none.", "ROOT", None)
}
SERVER = {
    **SHARING,
    "oip_shm": _flag(
        "Let callers of the Open Inference Protocol on this host, or with a token, register shared memory.",
        "--oip-shm",
        None,
    ),
    **ALLOW_PATH,
    **CLIENT,
    "require_client_cert": _flag("Refuse clients whose certificate --tls-ca has not signed.", "--require-client-cert"),
    "open_health": _flag("Ask for a token in health checks too.", "--closed-health"),
    "open_reflection": _flag("Answer reflection without a token.", "--open-reflection"),
    "reflection": _flag("Turn reflection off.", "--no-reflection"),
    "metrics": Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve metrics for Prometheus at this address.",
            rich_help_panel=OBSERVE,
            show_default="off",
        ),
    ],
    "log_format": Annotated[
        LogFormat | None,
        typer.Option(
            help="Write the log as text, or as one JSON object per line.", rich_help_panel=OBSERVE, show_default="text"
        ),
    ],
}
PIPELINE = SERVER | {
    "cache": Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Keep intermediate results here: memory, none, or redis://HOST:PORT/DB for several pipelines.",
            show_default="memory",
        ),
    ],
    "record": _path("Record requests in this folder, for tensorhop show and replay.", "DIR", RECORD),
    "record_sample": _text("Record this part of the requests, 0 to 1; those that wish it always.", "PART", "1"),
    "record_pixels": Annotated[
        RecordPixels | None,
        typer.Option(
            help="Keep tensors and pictures, or only their digests.", rich_help_panel=RECORD, show_default="all"
        ),
    ],
    "record_bytes": _text("Keep at most this many bytes of recordings (512MiB, 2g); the oldest go.", "SIZE", "1g"),
    "record_age": _text("Keep recordings at most this long (12h, 30d).", "TIME", "7d"),
}
JOBS = {
    "jobs_dir": _path("Keep jobs in this folder.", "DIR", None),
    "jobs_redis": Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Queue jobs for workers in this Redis, redis://HOST:PORT/DB; without --jobs-dir, keep them there.",
            show_default="in this process",
        ),
    ],
    "jobs_parallel": Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Run so many jobs of each priority at once.", show_default="1"),
    ],
    "webhook_secret_file": _path("Sign webhooks with the secret in this file: whsec_ and base64.", "FILE", None),
    "allow_private_webhooks": _flag(
        "Send webhooks to this machine and to private networks, too.", "--allow-private-webhooks", None
    ),
}
SHADOW = {
    "shadow_model": _path("Let this network draw the shadows of the kind learned: an .onnx file.", "FILE", None),
    "shadow_model_range": Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Give that network colours from 0,1 or -1,1, and take its answer for the same.",
            show_default="as its file says, or else 0,1",
        ),
    ],
}
QUALITY = {
    "quality_prompt": _path("Tell the chat model that scores pictures what is in this file.", "FILE", None),
    "quality_scale": Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Take this number of that model's for a perfect score.", show_default="1"),
    ],
}
OWN = SHADOW | QUALITY  # of one service each
WORKER = {**CLIENT, **{name: SERVER[name] for name in ("metrics", "log_format")}, **JOBS}
FLAG_VALUES = {  # by setting, what its flag makes of it
    "shm_bytes": 0,
    "oip_shm": True,
    "require_client_cert": True,
    "open_health": False,
    "open_reflection": True,
    "reflection": False,
    "allow_private_webhooks": True,
}


def server_options(command: Callable[..., None], own: Sequence[str] = ()) -> Callable[..., None]:
    """Add the options of servers to a command.

    Args:
        own: the settings that one service alone reads.
    """
    return _with(command, SERVER | {name: OWN[name] for name in own})


def all_server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a pipeline's server, of all its services, of HTTP and of jobs to a command."""
    return _with(command, PIPELINE | ALLOW_WRITE | OWN | JOBS)


def job_server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the server of jobs to a command."""
    return _with(command, {name: one for name, one in SERVER.items() if name not in (*SHARING, *ALLOW_PATH)} | JOBS)


def worker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a worker of jobs to a command."""
    return _with(command, WORKER)


def pipeline_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a pipeline's server to a command."""
    return _with(command, PIPELINE)


def client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of clients to a command."""
    return _with(command, CLIENT)


def http_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the HTTP server to a command."""
    return _with(command, ALLOW_PATH | ALLOW_WRITE | CLIENT)


def sharing_client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of clients that may start the services themselves to a command."""
    return _with(command, SHARING | CLIENT)


def _with(command: Callable[..., None], options: dict[str, Any]) -> Callable[..., None]:
    def install(given: dict[str, Any]) -> dict[str, Any]:
        from tensorhop.settings import Settings, use_settings

        try:
            settings = Settings(**{name: _value(name, value) for name, value in given.items()})
        except InvalidInput as error:
            told = f"--{error.field.replace('_', '-')}" if error.field in given else error.field
            raise typer.BadParameter(f"{told} {error.message}") from error
        check(settings, client="require_client_cert" not in options)
        if "allow_path" in options:
            check_folders(settings, options)
        check_own(settings, options)
        if "record" in options and settings.record:
            check_record(Path(settings.record))
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
            check_metrics(settings)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error


def use_own(given: dict[str, Any]) -> None:
    """Add options of OWN to the settings of this process. Raises typer.BadParameter as `check_own` does."""
    from tensorhop.settings import current_settings, use_settings

    settings = current_settings().model_copy(update={name: _value(name, value) for name, value in given.items()})
    check_own(settings, given)
    use_settings(settings)


def check_own(settings: "Settings", options: Collection[str]) -> None:
    """Check settings of OWN, if a command has their options.

    Raises typer.BadParameter: the shadow model or the prompt is no file, or what belongs to it is given without it.
    """
    if "shadow_model" in options or "shadow_model_range" in options:
        file = settings.shadow_model
        if file and not Path(file).is_file():
            raise typer.BadParameter(f"--shadow-model names {file}, which is no file; name an .onnx file")
        if settings.shadow_model_range and not file:
            raise typer.BadParameter("--shadow-model-range is given without --shadow-model")
    if "quality_prompt" in options or "quality_scale" in options:
        file = settings.quality_prompt
        if file and not Path(file).is_file():
            raise typer.BadParameter(f"--quality-prompt names {file}, which is no file; name a text file")
        if settings.quality_scale != 1 and not file:
            raise typer.BadParameter("--quality-scale is given without --quality-prompt, whose scale it is")


def check_folders(settings: "Settings", options: Collection[str]) -> None:
    """Raises typer.BadParameter: a setting among the options, for a folder, names none."""
    for name in ("allow_path", "allow_write", "shm_dir"):
        folder = getattr(settings, name)
        given = name in options and name in settings.model_fields_set  # the default of shm_dir is looked at when used
        if given and folder and not Path(folder).is_dir():
            raise typer.BadParameter(f"--{name.replace('_', '-')} names {folder}, which is no folder")


def check_metrics(settings: "Settings") -> None:
    """Raises InvalidInput: the address of the metrics is none."""
    from tensorhop.address import split

    if settings.metrics:
        try:
            split(settings.metrics)
        except OSError as error:
            raise InvalidInput("--metrics", f"is {settings.metrics!r}; it must be HOST:PORT") from error


def check_record(folder: Path) -> None:
    """Make the folder of recordings. Raises typer.BadParameter: it cannot be made, or not be read and changed."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"--record names {folder}, which cannot be made: {error.strerror}") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise typer.BadParameter(f"--record names {folder}, which may not be read and changed")

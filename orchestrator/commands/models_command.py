"""`tensorhop models`: which models each service can run, which are on this machine, and fetching them."""

from importlib.util import find_spec
from typing import Annotated

import typer

from tensorhop.errors import InvalidInput
from tensorhop.models.own_files import looks_like_path
from tensorhop.models.presets import PRESETS
from tensorhop.models.sources import EMBEDDED, check_installed, check_license
from tensorhop.orchestrator.commands.tables import open_console, table
from tensorhop.rpc.registry import models as services_with_model
from tensorhop.serving.command import AcceptLicense

TITLES = ("--model", "runs on", "from", "license", "size", "here")
EMBEDDED_LICENSE = "Apache-2.0"
EMBEDDED_RUNS_ON = {"postprocess": "no network"}

models = typer.Typer(help="See and fetch the models that services run.", no_args_is_help=True)


@models.command("list")
def list_command(
    licenses: Annotated[
        str | None,
        typer.Option(
            "--license", metavar="NAMES", help="Only models with one of these licenses, such as apache-2.0,mit."
        ),
    ] = None,
) -> None:
    """List the presets of each service, and whether they are on this machine.

    Hub ids, directories and .onnx files work wherever a preset does.
    """
    known = {preset.licence.lower(): preset.licence for preset in PRESETS.values() if preset.licence}
    known[EMBEDDED_LICENSE.lower()] = EMBEDDED_LICENSE
    wanted = None if licenses is None else {one.strip().lower() for one in licenses.split(",")}
    if wanted and (unknown := sorted(wanted - set(known))):
        names = ", ".join(sorted(known.values()))
        raise typer.BadParameter(f"no model has the license {unknown[0]!r}; known are {names}", param_hint="--license")

    def is_wanted(license: str) -> bool:
        return wanted is None or license.lower() in wanted

    console = open_console()
    for step in services_with_model():
        own = [EMBEDDED, EMBEDDED_RUNS_ON.get(step, "ONNX"), "this package", EMBEDDED_LICENSE, "", "yes"]
        rows = [own] if is_wanted(EMBEDDED_LICENSE) else []
        for name, preset in PRESETS.items():
            if preset.service == step and is_wanted(preset.licence):
                runs_on = "ONNX" if preset.backend == "onnx" else "PyTorch"
                origin = preset.repo or "/".join(preset.url.split("/")[2:5])
                size = f"{preset.size / 1e6:,.0f} MB" if preset.size else ""
                forbids = " (no commercial use)" if preset.noncommercial else ""
                rows.append([name, runs_on, origin, preset.licence + forbids, size, _here(name)])
        if rows:
            console.print(f"[bold]{step}[/bold]", table(TITLES, rows, console.width), "", sep="\n")


@models.command("pull")
def pull_command(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Presets or hub ids.")],
    revision: Annotated[
        str, typer.Option(metavar="COMMIT", help="Branch, tag or commit.", show_default="the hub's default")
    ] = "",
    code: Annotated[bool, typer.Option("--code", help="Fetch the repository's Python code, too.")] = False,
    accept_license: AcceptLicense = False,
) -> None:
    """Fetch models ahead of time; an interrupted download goes on where it stopped."""
    failed = False
    for name in names:
        try:
            if looks_like_path(name):
                raise InvalidInput("NAME", f"is {name!r}, a path; name a preset or a hub id (owner/name)")
            check_installed(name, ["huggingface_hub"])
            from tensorhop.models import hub

            preset = PRESETS.get(name)
            check_license(name, preset, accept_license)
            path, commit = hub.pull(name, revision, preset, code or bool(preset and preset.own_code))
            typer.echo(f"{name}: {path}" + (f" (commit {commit})" if commit else ""))
        except InvalidInput as error:
            typer.echo(f"Error: {error}", err=True)
            failed = True
    if failed:
        raise typer.Exit(1)


def _here(name: str) -> str:
    if find_spec("huggingface_hub") is None:
        return "no"
    from tensorhop.models import hub

    return "yes" if hub.local(name, "", PRESETS[name]) else "no"

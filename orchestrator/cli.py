"""The `tensorhop` command."""

from typing import Annotated

import typer

from tensorhop.orchestrator.bench.cli import bench
from tensorhop.orchestrator.commands.jobs.jobs_command import jobs
from tensorhop.orchestrator.commands.models_command import models
from tensorhop.orchestrator.commands.panoramas.quality_command import quality_command
from tensorhop.orchestrator.commands.panoramas.upscale_command import upscale_command
from tensorhop.orchestrator.commands.panoramas.views_command import views_command
from tensorhop.orchestrator.commands.recordings.replay_command import replay
from tensorhop.orchestrator.commands.recordings.show_command import show
from tensorhop.orchestrator.commands.run_command import run_command
from tensorhop.orchestrator.commands.serve_command import serve, worker
from tensorhop.orchestrator.commands.status_command import status_command
from tensorhop.orchestrator.commands.up_command import up
from tensorhop.orchestrator.version import version_line

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("run")(run_command)
app.command("views")(views_command)
app.command("upscale")(upscale_command)
app.command("quality")(quality_command)
app.command("up")(up)
app.command("status")(status_command)
app.command("worker")(worker)
app.command("show")(show)
app.command("replay")(replay)
app.add_typer(serve, name="serve")
app.add_typer(jobs, name="jobs")
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")


def show_version(asked: bool) -> None:
    """Print the version and end the command, if it was asked for."""
    if asked:
        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Photo in, finished object cut-outs out."""

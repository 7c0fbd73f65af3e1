"""`tensorhop jobs`: submit, watch, list, retry and cancel jobs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tensorhop.options.table import OUTPUT
from tensorhop.orchestrator.commands.photo_options import photo_options
from tensorhop.orchestrator.commands.run_options import option
from tensorhop.orchestrator.jobs.service import SERVICE
from tensorhop.serving.command import default_address
from tensorhop.serving.settings_options import client_options

Priority = StrEnum("Priority", ["low", "normal", "high"])
State = StrEnum("State", ["queued", "running", "done", "failed", "cancelled", "dead"])
NORMAL = Priority("normal")
Endpoint = Annotated[str, option("Address of the server of jobs.", metavar="ADDRESS", envvar="TENSORHOP_JOBS_ENDPOINT")]
HERE = default_address(SERVICE)
# `client_options` needs a default; typer takes this one for none.
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
REQUIRED: str = ...  # type: ignore[assignment]
Out = Annotated[
    Path | None,
    option("Write pictures into this directory, as they are done.", "--out", "-o", metavar="DIR", panel=OUTPUT),
]
AsJson = Annotated[bool, option("Print JSON.", "--json")]

jobs = typer.Typer(help="Submit, watch, list, retry and cancel jobs.", no_args_is_help=True)


@jobs.command("submit")
@client_options
@photo_options
def submit(
    values: dict[str, Any],
    phrases: list[str],
    boxes: list[tuple[float, ...]],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE]...", help="Submit a job for each of these photos.")
    ] = None,
    request: Annotated[
        str | None,
        option(
            "Submit this request of any chain instead, as the contract's JSON with its @type; - is standard input.",
            metavar="FILE",
        ),
    ] = None,
    priority: Annotated[Priority, option("Run it before jobs of a lower priority.")] = NORMAL,
    webhook: Annotated[
        str, option("Tell this address of each finished item, and of the end.", metavar="URL", show_default="nobody")
    ] = "",
    key: Annotated[
        str,
        option("Submit it once, however often this is called with the same key.", metavar="TEXT", show_default=False),
    ] = "",
    live: Annotated[
        str | None,
        option("Remove the job after this time (90s, 2h).", metavar="TIME", show_default="the server's, 24 h"),
    ] = None,
    endpoint: Endpoint = HERE,
) -> None:
    """Submit jobs, and print their ids, one a line.

    Exit code: 0 submitted, 1 refused, 2 wrong use, 4 the endpoint cannot be reached or wants a token.
    """
    from tensorhop.orchestrator.commands.jobs.submitting import Submission, submit_jobs

    chosen = Submission(priority.value, webhook, key, live)
    raise typer.Exit(submit_jobs(endpoint, chosen, images or [], request, values, phrases, boxes))


@jobs.command("watch")
@client_options
def watch(job: JobId = REQUIRED, out: Out = None, as_json: AsJson = False, endpoint: Endpoint = HERE) -> None:
    """Show a job's changes and events until it has ended.

    Exit code: 0 done, 1 it failed or was cancelled, 2 wrong use, 4 the endpoint cannot be reached or wants a token.
    """
    from tensorhop.orchestrator.commands.jobs.watching import watch_job

    raise typer.Exit(watch_job(endpoint, job, out, as_json))


@jobs.command("list")
@client_options
def list_jobs(
    state: Annotated[State | None, option("List only jobs in this state.", show_default="all")] = None,
    as_json: Annotated[bool, option("Print a JSON object for each job.", "--json")] = False,
    endpoint: Endpoint = HERE,
) -> None:
    """List jobs, the newest first; those of the state dead are the dead letters."""
    from tensorhop.orchestrator.commands.jobs.watching import show_jobs

    raise typer.Exit(show_jobs(endpoint, state.value if state else "", as_json))


@jobs.command("retry")
@client_options
def retry(job: JobId = REQUIRED, endpoint: Endpoint = HERE) -> None:
    """Run a job again that failed, is dead or was cancelled; of one that is done, send its dead webhooks again."""
    from tensorhop.orchestrator.commands.jobs.watching import change_job

    raise typer.Exit(change_job(endpoint, "RetryJob", job))


@jobs.command("cancel")
@client_options
def cancel(job: JobId = REQUIRED, endpoint: Endpoint = HERE) -> None:
    """Cancel a job. Its results so far stay."""
    from tensorhop.orchestrator.commands.jobs.watching import change_job

    raise typer.Exit(change_job(endpoint, "CancelJob", job))

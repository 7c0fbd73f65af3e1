"""`tensorhop replay`: a recorded request again, from a step on, and what differs."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.commands.recordings.show_command import Folder
from tensorhop.orchestrator.commands.run_command import model_options, take_shadow_model
from tensorhop.orchestrator.commands.run_options import option
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.serving.settings_options import sharing_client_options

if TYPE_CHECKING:
    from tensorhop.client.cutouts.pipeline import PipelineClient
    from tensorhop.orchestrator.commands.recordings.comparison import Finding
    from tensorhop.orchestrator.commands.recordings.replay_request import Replay
    from tensorhop.orchestrator.recording.recording import Recording

SAME, DIFFERENT, UNREACHABLE = 0, 1, 4  # exit codes


@sharing_client_options
@model_options
def replay(
    models: dict[str, Any],
    wanted: Annotated[
        str | None, typer.Argument(metavar="ID", help="The request's id, its beginning, or the folder of a recording.")
    ] = None,
    record: Folder = None,
    start: Annotated[
        str | None,
        option(
            "Run this step first: describe, detect, segment or postprocess; what was before it is given.",
            "--from",
            metavar="STEP",
            show_default="the first that ran",
        ),
    ] = None,
    image: Annotated[
        Path | None, option("The photo, for a recording without pixels.", metavar="FILE", show_default=False)
    ] = None,
    endpoint: run_options.Endpoint = None,
) -> None:
    """Run a recorded request again, and compare what each step makes.

    Exit code: 0 the same, 1 something differs, 2 wrong use, 4 the endpoint cannot be reached or wants a token,
    130 interrupted, 143 terminated.
    """
    take_shadow_model(models, {}, endpoint)
    from tensorhop.orchestrator.commands.recordings.replay_request import STEPS, replay_of
    from tensorhop.orchestrator.commands.run_session import until_signal
    from tensorhop.orchestrator.launch.loading import begin_loading
    from tensorhop.orchestrator.launch.model_choices import model_choices
    from tensorhop.orchestrator.recording.recording import RecordingError, find
    from tensorhop.settings import current_settings, use_settings

    if start not in (None, *STEPS):
        raise typer.BadParameter(f"--from is {start!r}; it must be one of {', '.join(STEPS)}")
    use_settings(current_settings().model_copy(update={"record": ""}))  # the replay itself is not recorded
    try:
        named, devices, dtypes, revisions = (models.get(name, []) for name in ("model", "device", "dtype", "revision"))
        trusts, accepts = (models.get(name, False) for name in ("trust_remote_code", "accept_license"))
        choices = model_choices(named, devices, dtypes, revisions, trusts, accepts)
        if endpoint and choices:
            raise RecordingError("--model and --device are for services that start here, without --endpoint")
        if wanted is None:
            raise RecordingError("name the recording by its ID; tensorhop show lists them")
        recording = find(record, wanted)
        if image is not None:
            recording.give(image.read_bytes())
        wish = replay_of(recording, start)
        loading = {} if endpoint else begin_loading(PIPELINE.calls, choices)
        raise typer.Exit(until_signal(lambda _: run(recording, wish, endpoint, choices, loading)))
    except (RecordingError, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        raise typer.BadParameter(f"--image {image} cannot be read: {error.strerror or error}") from error


def run(
    recording: "Recording", wish: "Replay", endpoint: str | None, choices: Mapping[str, Any], loading: Mapping[str, Any]
) -> int:
    """Replay, print what was found, and return the exit code."""
    from tensorhop.client.cutouts.pipeline import PipelineClient
    from tensorhop.orchestrator.commands.recordings.comparison import compare
    from tensorhop.orchestrator.commands.run_session import connection
    from tensorhop.orchestrator.run.runner import code_of
    from tensorhop.rpc.security import Security
    from tensorhop.v1 import fault_pb2
    from tensorhop.wire.allocator import keep_large_buffers

    keep_large_buffers()
    with ExitStack() as stack:
        client = stack.enter_context(connection(PIPELINE, PipelineClient, endpoint, choices, loading, Security.of()))
        now = replayed(client, wish)
    if now.fault is not None and recording.fault is None:
        fault = fault_pb2.Fault(code=now.fault.get("code", 0), service=now.fault.get("service", ""))
        if code_of(fault) == UNREACHABLE:
            typer.echo(f"Error: {now.fault.get('message', '')}", err=True)
            return UNREACHABLE
    return tell(recording, now, wish, compare(recording, now, wish.start, wish.objects))


def replayed(client: "PipelineClient", wish: "Replay") -> "Recording":
    """Run the request, and record it in memory."""
    from tensorhop.orchestrator.recording.document import contents
    from tensorhop.orchestrator.recording.recorder import Memory, Recorder
    from tensorhop.orchestrator.recording.recording import Recording

    recorder = Recorder("replay", PIPELINE.name, wish.packet, Memory(sys.maxsize))
    call = client.send(wish.packet)
    call.watch = recorder.event
    try:
        for _ in call:
            pass
    except ServiceFault as error:
        recorder.fault = error.fault
    recorder.seconds = recorder.now()
    return Recording.of(contents(recorder))


def tell(then: "Recording", now: "Recording", wish: "Replay", findings: "list[Finding]") -> int:
    """Print what was found, and return the exit code."""
    typer.echo(f"{then.id}, recorded {str(then.document['started'])[:19].replace('T', ' ')}, again from {wish.start}")
    for line in (*wish.notes, *changed_models(then, now)):
        typer.echo(line)
    for one in findings:
        typer.echo(f"  {one}")
    parted = next((one for one in findings if not one.same), None)
    if parted is None:
        typer.echo("the same")
        return SAME
    typer.echo(f"they part at {parted.step}{f', {parted.item}' if parted.item else ''}: {parted.words}")
    return DIFFERENT


def changed_models(then: "Recording", now: "Recording") -> list[str]:
    """A line for each step that runs another model than it did."""
    before, after = ({one.get("service"): one.get("model", {}) for one in of.document["steps"]} for of in (then, now))
    return [
        f"{name} ran {model_words(before[name])}, and now runs {model_words(after[name])}"
        for name in after
        if before.get(name) and after[name] and before[name] != after[name]
    ]


def model_words(model: Mapping[str, str]) -> str:
    return f"{model.get('name', 'no model')} {model.get('digest', '')[:12]}".strip()

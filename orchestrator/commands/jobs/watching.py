"""`tensorhop jobs watch`, `list`, `retry` and `cancel`."""

import io
import json
import time
from pathlib import Path
from typing import Any

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from PIL import Image, UnidentifiedImageError

from tensorhop.client.jobs import PRIORITIES, STATES, picture_in
from tensorhop.files import CannotWrite, suffix_of, write_file
from tensorhop.orchestrator.commands.jobs.connection import Connection, connected
from tensorhop.orchestrator.commands.tables import open_console, table
from tensorhop.orchestrator.jobs.chains import method_of_chain
from tensorhop.orchestrator.run.runner import DONE, FAILED
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.wire.codec import Packet, decode


def watch_job(endpoint: str, job: str, out: Path | None, as_json: bool) -> int:
    """Print changes and events until the job has ended; the exit code."""

    def work(jobs: Connection) -> int:
        record = pb.Job()
        for answer in jobs.stream("WatchJob", pb.WatchJobRequest(id=job)):
            if answer.message.HasField("job"):
                if answer.message.job.state != record.state:
                    say_state(answer.message.job, as_json)
                record = answer.message.job
                continue
            event = answer.message.event
            event.event.value = bytes(answer.payloads.get(event.event.value))
            file = fetch(jobs, record, event.index, out) if out else None
            say_event(event, file, as_json)
        return DONE if record.state == pb.JOB_STATE_DONE else FAILED

    try:
        return connected(endpoint, work)
    except CannotWrite as error:
        typer.echo(f"Error: {error.filename}: {error.strerror}", err=True)
        return FAILED


def fetch(jobs: Connection, record: pb.Job, index: int, out: Path) -> Path | None:
    """Write the picture of an event into a folder, if it has one that is a file."""
    request = pb.GetJobResultsRequest(id=record.id, first_event=index)
    answer = next(iter(jobs.stream("GetJobResults", request)))
    event = answer.message.event
    packet = decode(method_of_chain(record.chain).response, bytes(answer.payloads.get(event.event.value)))
    data = picture_of(packet)
    if not data:
        return None
    path = out / f"{record.id}-{index:03}-{event.name}{suffix_for(data)}"
    write_file(path, data)
    return path


def suffix_for(data: bytes) -> str:
    """The suffix of the file of a picture that a chain has encoded."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return suffix_of(str(picture.format).lower())
    except (UnidentifiedImageError, StopIteration):  # of somebody else's chain
        return ".bin"


def picture_of(packet: Packet[Any]) -> bytes:
    """The encoded picture of an event; empty if it has none."""
    picture = picture_in(packet.message)
    return b"" if picture is None else bytes(packet.payloads.get(picture.encoded))


def say_state(record: pb.Job, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"job": plain(record)}))
        return
    more = f": {record.fault.message}" if record.HasField("fault") else ""
    typer.echo(f"{record.id}  {STATES[record.state]}{more}")


def say_event(event: pb.JobEvent, file: Path | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"event": plain(event), "file": str(file) if file else None}))
        return
    typer.echo(f"{event.index:6}  {event.name}" + (f"  {file}" if file else ""))


def show_jobs(endpoint: str, state: str, as_json: bool) -> int:
    """Print all jobs of a state, or of all; the exit code."""

    def work(jobs: Connection) -> int:
        wanted = f"JOB_STATE_{state.upper()}" if state else "JOB_STATE_UNSPECIFIED"
        request, rows = pb.ListJobsRequest(state=wanted, page_size=100), []
        while True:
            answer = jobs.ask("ListJobs", request)
            for record in answer.jobs:
                if as_json:
                    typer.echo(json.dumps(plain(record)))
                else:
                    rows.append(row_of(record))
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        if not as_json:
            console = open_console()
            titles = ["job", "chain", "state", "priority", "submitted", "attempts", "events", "why"]
            console.print(table(titles, rows, console.width))
        return DONE

    return connected(endpoint, work)


def row_of(record: pb.Job) -> list[str]:
    submitted = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.submitted.seconds))
    priority = PRIORITIES[record.priority]
    why = record.fault.message
    if record.webhooks.dead:
        why = f"{len(record.webhooks.dead)} webhooks could not be delivered: {record.webhooks.message}"
    shown = why.replace("[", r"\[")
    return [
        *(record.id, record.chain, STATES[record.state], priority, submitted),
        *(str(record.attempts), str(record.events), shown),
    ]


def change_job(endpoint: str, method: str, job: str) -> int:
    """Call a method that changes a job, and print its state; the exit code."""

    def work(jobs: Connection) -> int:
        request = pb.CancelJobRequest(id=job) if method == "CancelJob" else pb.RetryJobRequest(id=job)
        say_state(jobs.ask(method, request).job, as_json=False)
        return DONE

    return connected(endpoint, work)


def plain(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return made

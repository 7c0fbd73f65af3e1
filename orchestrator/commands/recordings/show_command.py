"""`tensorhop show`: the way of a recorded request as a page, or what is recorded."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tensorhop.orchestrator.commands.run_options import option

Folder = Annotated[
    Path | None,
    option("Look for recordings in this folder.", "--record", metavar="DIR", envvar="TENSORHOP_RECORD"),
]


def show(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The request's id, its beginning, or the folder of a recording."),
    ] = None,
    record: Folder = None,
    out: Annotated[
        str | None, option("Write the page here; - is standard output.", "--out", "-o", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, option("Replace a file that is no page of this command.", "--overwrite")] = False,
    last: Annotated[int, option("Without an ID, list at most this many recordings.", min=1)] = 20,
) -> None:
    """Draw a recorded request as an HTML page: photo, boxes, masks, cut-outs, times, faults and models.

    Without an ID, list the recordings, newest first.
    """
    from tensorhop.files import CannotWrite, write_file
    from tensorhop.orchestrator.commands.recordings.listing import print_recordings
    from tensorhop.orchestrator.commands.recordings.page import MADE, draw_page
    from tensorhop.orchestrator.recording.recording import RecordingError, find
    from tensorhop.orchestrator.recording.store import folder_name

    try:
        if wanted is None:
            if record is None:
                raise RecordingError("name the folder of recordings: --record DIR")
            if out is not None:
                raise RecordingError("--out is for the page of one recording; give its ID")
            print_recordings(record, last)
            return
        recording = find(record, wanted)
        page = draw_page(recording)
        if out == "-":
            sys.stdout.write(page)
            return
        path = Path(out or f"{folder_name(recording.id)}.html")
        if path.exists() and not overwrite and not begins_with(path, MADE):
            raise RecordingError(f"{path} is there, and is no page of this command; choose --out, or give --overwrite")
        write_file(path, page.encode())
    except RecordingError as error:
        raise typer.BadParameter(str(error)) from error
    except CannotWrite as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(path)


def begins_with(path: Path, text: str) -> bool:
    """Whether a file begins with a text."""
    try:
        with path.open("rb") as file:
            return file.read(len(text)) == text.encode()
    except OSError:
        return False

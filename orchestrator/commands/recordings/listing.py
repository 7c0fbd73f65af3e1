"""The list of recordings on the terminal."""

from pathlib import Path

from rich.markup import escape

from tensorhop.orchestrator.commands.recordings.page import outcome
from tensorhop.orchestrator.commands.tables import open_console, table
from tensorhop.orchestrator.recording.recording import Recording, RecordingError, names_in

TITLES = ("id", "started", "chain", "outcome", "time", "pixels", "KiB")


def print_recordings(folder: Path, last: int) -> None:
    """Print the newest recordings of a folder. Raises RecordingError: it cannot be read."""
    names = names_in(folder)
    rows = [row_of(folder / name) for name in names[:last]]
    console = open_console()
    if not rows:
        console.print(f"{folder} has no recording", markup=False)
        return
    console.print(table(TITLES, rows, console.width))
    if len(names) > last:
        console.print(f"{len(names) - last:,} older ones; --last {len(names)} lists all", markup=False)


def row_of(folder: Path) -> list[str]:
    """What is told of a recording; where it cannot be read, why."""
    try:
        document = Recording.load(folder).document
        size = sum(file.stat().st_size for file in folder.iterdir())
        when = str(document["started"])[:19].replace("T", " ")
        told = [when, str(document["chain"]), outcome(document), f"{document['seconds']:.2f} s"]
        return [escape(one) for one in (folder.name, *told, str(document["pixels"]), f"{size / 1024:,.0f}")]
    except (RecordingError, OSError, KeyError, TypeError, ValueError) as error:
        return [escape(folder.name), "", "", escape(f"cannot be read: {error}"), "", "", ""]

"""The summary of a photo, `{stem}.json`, and the line that a manifest's results have for it."""

import json
from pathlib import Path
from typing import Any

DONE, NOTHING, FAILED = "done", "nothing", "failed"  # how a photo ended


def read_summary(path: Path, digest: str, options: dict[str, Any]) -> dict[str, Any] | None:
    """The summary of an earlier run that finished the same photo with the same options, if its files are there."""
    try:
        found = json.loads(path.read_bytes())
        same = found["status"] in (DONE, NOTHING) and found["digest"] == digest and found["options"] == options
        return found if same and all((path.parent / name).is_file() for name in found["files"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it is of an earlier version, or not a summary


def result_line(line: int, summary: dict[str, Any]) -> dict[str, Any]:
    """What the results say of a line of the manifest."""
    rows = summary["events"]
    objects = [{name: row[name] for name in ("index", "label", "score", "box")} for row in rows if is_a(row, "object")]
    faults = [
        {name: row[name] for name in ("index", "step", "code", "field", "message") if name in row}
        for row in rows
        if is_a(row, "fault") or is_a(row, "error")
    ]
    return {
        "line": line,
        "image": summary["image"] or None,
        "status": summary["status"],
        "skipped": summary.get("skipped", False),
        "files": summary["files"],
        "objects": objects,
        "faults": faults,
        "seconds": summary["seconds"],
    }


def is_a(row: dict[str, Any], event: str) -> bool:
    return bool(row["event"] == event)

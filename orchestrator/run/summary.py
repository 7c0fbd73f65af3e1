"""The summary of a photo, `{stem}.json`, and the line that a manifest's results have for it."""

import errno
from pathlib import Path
from typing import Any

from tensorhop.errors import code_name, fault_of
from tensorhop.orchestrator.run.own_files import MARKER, SCHEMA, read_marked
from tensorhop.v1 import fault_pb2

DONE, NOTHING, FAILED = "done", "nothing", "failed"  # how a photo ended
# Of errors of this machine's files; all others are INTERNAL. UNAVAILABLE is for services.
FILE_CODES = {
    errno.ENOENT: fault_pb2.CODE_NOT_FOUND,
    errno.EISDIR: fault_pb2.CODE_INVALID_ARGUMENT,
    errno.EINVAL: fault_pb2.CODE_INVALID_ARGUMENT,
    errno.ENAMETOOLONG: fault_pb2.CODE_INVALID_ARGUMENT,
    errno.EEXIST: fault_pb2.CODE_ALREADY_EXISTS,
    errno.EACCES: fault_pb2.CODE_PERMISSION_DENIED,
    errno.EPERM: fault_pb2.CODE_PERMISSION_DENIED,
    errno.EROFS: fault_pb2.CODE_PERMISSION_DENIED,
    errno.ENOSPC: fault_pb2.CODE_RESOURCE_EXHAUSTED,
    errno.EDQUOT: fault_pb2.CODE_RESOURCE_EXHAUSTED,
}


def read_summary(path: Path, digest: str, options: dict[str, Any]) -> dict[str, Any] | None:
    """The summary of an earlier run that finished the same photo with the same options, if its files are there."""
    found = read_marked(path)
    try:
        if found is None or found["status"] not in (DONE, NOTHING):
            return None
        same = found["digest"] == digest and found["options"] == options
        return found if same and all((path.parent / name).is_file() for name in found["files"]) else None
    except (KeyError, TypeError):
        return None  # it is of an earlier version


def fault_from(error: Exception) -> fault_pb2.Fault:
    """The fault that an exception means for a photo."""
    if not isinstance(error, OSError):
        return fault_of(error)
    code = FILE_CODES.get(error.errno or 0, fault_pb2.CODE_INTERNAL)
    if isinstance(error, FileNotFoundError):
        code = fault_pb2.CODE_NOT_FOUND
    reason = error.strerror or str(error) or type(error).__name__
    return fault_pb2.Fault(code=code, message=f"{error.filename}: {reason}" if error.filename else reason)


def error_row(fault: fault_pb2.Fault) -> dict[str, Any]:
    """The event that says why a photo failed as a whole."""
    name = code_name(fault)
    return {"event": "error", "code": name, "field": fault.field, "message": fault.message}


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
        MARKER: SCHEMA,
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

"""Events as JSON: everything but pixels and files."""

import dataclasses
from typing import Any

from tensorhop.values.panoramas.camera import CameraPair

# As the contract names them; the rest as their class, without "Object".
NAMES = {
    "ObjectResult": "object",
    "PairResult": "pair",
    "PairScore": "score",
    "IntervalDecision": "decision",
    "ViewDescription": "description",
    "ViewResult": "view",
    "ViewFault": "fault",
    "ViewsSummary": "summary",
}


def event_json(event: object) -> dict[str, Any]:
    """An event as a JSON object, without pixels and files. The detection's fields stand beside the event's own."""
    name = type(event).__name__
    row: dict[str, Any] = {"event": NAMES.get(name, name.removeprefix("Object").lower())}
    for field in dataclasses.fields(event):  # type: ignore[arg-type]
        value = getattr(event, field.name)
        if field.name in ("mask", "picture", "file", "cutout", "shadow", "pixels"):
            continue
        if field.name == "detection":
            row |= plain(value)
        else:
            row[field.name] = plain(value)
    return row


def plain(value: Any) -> Any:
    """A value with its dataclasses as dicts, its tuples as lists, and its floats rounded to four decimals."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, CameraPair):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value

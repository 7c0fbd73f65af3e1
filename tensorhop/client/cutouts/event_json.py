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
_PIXELS = ("mask", "picture", "file", "cutout", "shadow", "pixels")


def event_json(event: object) -> dict[str, Any]:
    """An event as a JSON object, without pixels and files. The detection's fields stand beside the event's own."""
    name = type(event).__name__
    row: dict[str, Any] = {"event": NAMES.get(name, name.removeprefix("Object").lower())}
    for field in dataclasses.fields(event):  # type: ignore[arg-type]
        value = getattr(event, field.name)
        if field.name in _PIXELS:
            continue
        if field.name == "detection":
            row |= plain(value)
        else:
            row[field.name] = plain(value)
    return row


def plain(value: Any) -> Any:
    """A value: its dataclasses as dicts without pixels, tuples as lists, and floats rounded to four decimals."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in _PIXELS]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, CameraPair):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value

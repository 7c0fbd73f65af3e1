"""Cameras and descriptions in JSON: as a member, or as text in a form or a query."""

from collections.abc import Callable
from typing import Any

from tensorhop.options.kinds import Kind, read_json
from tensorhop.values.panoramas import Camera, CameraPair
from tensorhop.values.panoramas.camera import RANGES

NUMBER = {"type": "number"}
CAMERA = {"type": "object", "properties": dict.fromkeys(RANGES, NUMBER), "additionalProperties": False}
PAIR = {
    "type": "object",
    "properties": dict.fromkeys(CameraPair._fields, CAMERA),
    "required": [*CameraPair._fields],
    "additionalProperties": False,
}
PAIRS = {"type": "array", "items": PAIR}
INTERVAL = {
    "type": "object",
    "properties": {"interval": {"type": "integer"}, "cameras": PAIRS},
    "required": ["interval", "cameras"],
    "additionalProperties": False,
}
EXAMPLE = '{"left": {"yaw": 0, "pitch": 0, "roll": 0, "vfov": 90, "xi": 0}, "right": ...}'


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _members(value: Any, names: tuple[str, ...]) -> list[Any]:
    """The members of an object that has exactly these."""
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ValueError
    return [value[name] for name in names]


def _camera(value: Any) -> Camera:
    """A camera; what is left out has the default of `Camera`. Ranges are the service's to check."""
    if not isinstance(value, dict) or not value.keys() <= RANGES.keys():
        raise ValueError
    if not all(type(number) in (int, float) for number in value.values()):
        raise ValueError
    return Camera(**{name: float(number) for name, number in value.items()})


def _pairs(value: Any) -> list[CameraPair]:
    return [CameraPair(*map(_camera, _members(one, CameraPair._fields))) for one in _list(value)]


def _intervals(value: Any) -> list[tuple[int, list[CameraPair]]]:
    found = []
    for one in _list(value):
        number, pairs = _members(one, ("interval", "cameras"))
        if type(number) is not int or not 0 <= number < 2**31:
            raise ValueError
        found.append((number, _pairs(pairs)))
    return found


def _descriptions(value: Any) -> dict[int, str]:
    if not isinstance(value, dict) or not all(type(one) is str and one.isprintable() for one in value.values()):
        raise ValueError
    if not all(number.isascii() and number.isdecimal() and len(number) < 9 for number in value):
        raise ValueError
    return {int(number): text for number, text in value.items()}


def _kind(expects: str, read: Callable[[Any], Any], kind: type, schema: dict[str, Any]) -> Kind:
    return Kind(expects, lambda text: read(read_json(text)), read, kind, schema)


CAMERA_PAIRS = _kind(f"in JSON, a list with a pair of cameras for each panorama: [{EXAMPLE}]", _pairs, list, PAIRS)
INTERVAL_CAMERAS = _kind(
    f'in JSON, a list of intervals, with a pair for each panorama: [{{"interval": 1, "cameras": [{EXAMPLE}]}}]',
    _intervals,
    list,
    {"type": "array", "items": INTERVAL},
)
DESCRIPTIONS = _kind(
    'in JSON, texts by interval: {"3": "a court"}',
    _descriptions,
    dict,
    {"type": "object", "additionalProperties": {"type": "string"}},
)

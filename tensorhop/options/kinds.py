"""What an option's value can be: how it is read from text, how from JSON, and how its JSON is described."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tensorhop.values.geometry import Size

INT32 = 2**31
TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
FOUR = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}


@dataclass(frozen=True)
class Kind:
    """A kind of value. Both readers raise ValueError where it is none."""

    expects: str  # "a number": what an error says was expected
    from_text: Callable[[str], Any]
    from_json: Callable[[Any], Any]
    type: type  # of the JSON member in Python
    schema: dict[str, Any]  # of the JSON member; of text too, where it is no list
    metavar: str | None = None  # what stands for the value in --help; None for the words of `choices` and for flags
    many: bool = False  # text may be given several times; values are lists
    choices: tuple[str, ...] = ()  # the only values, if they are a closed set


def _of_type(value: Any, *types: type) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError
    return value


def _whole(value: Any) -> int:
    """One of the contract's int32."""
    if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9]{1,10}", value):
        raise ValueError
    number = int(value)
    if number != float(value) or not -INT32 <= number < INT32:
        raise ValueError
    return number


def _seed(value: int) -> int:
    if not 0 <= value < 2**64:
        raise ValueError
    return value


def _number(text: str) -> float:
    if not text.isascii() or "_" in text:
        raise ValueError
    return float(text)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value


def _seconds(value: float) -> float:
    if not _finite(value) > 0:
        raise ValueError
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValueError
    return text.lower() in TRUE


def _words(value: str) -> str:
    value.encode()  # half of a surrogate pair cannot be sent on; it is a ValueError too
    return value


def _size(text: str) -> Size:
    found = re.fullmatch(r"([0-9]{1,9})[xX]([0-9]{1,9})", text)
    if not found:
        raise ValueError
    return Size(int(found[1]), int(found[2]))


def _box(value: Any) -> tuple[float, ...]:
    if len(_of_type(value, list)) != 4:
        raise ValueError
    return tuple(float(_of_type(one, int, float)) for one in value)


def _boxes_text(text: str) -> list[tuple[float, ...]]:
    """x0,y0,x1,y1; or JSON: such a list of four, or a list of those."""
    if not text.lstrip().startswith("["):
        return _boxes([[_finite(_number(part)) for part in text.split(",")]])
    value = read_json(text)
    return _boxes(value if value and isinstance(value[0], list) else [value])


def _boxes(value: Any) -> list[tuple[float, ...]]:
    return [_box(one) for one in _of_type(value, list)]


def read_json(text: str | bytes) -> Any:
    """Raises ValueError: no JSON, or with NaN, which JSON has not, a member that comes twice, or nested too deep."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) < len(members):
            raise ValueError(f"a member comes twice among {', '.join(found)}")
        return found

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def choice(names: Sequence[str]) -> Kind:
    def one_of(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    listed = ", ".join(names)
    return Kind(f"one of {listed}", one_of, one_of, str, {"type": "string", "enum": [*names]}, choices=tuple(names))


TEXT = Kind("text", _words, lambda value: _words(_of_type(value, str)), str, {"type": "string"}, "TEXT")
TEXTS = Kind(
    "a list of texts",
    lambda text: [_words(text)],
    lambda value: [_words(_of_type(one, str)) for one in _of_type(value, list)],
    list,
    {"type": "array", "items": {"type": "string"}},
    "TEXT",
    many=True,
)
BOXES = Kind(
    "boxes: x0,y0,x1,y1, or in JSON [[x0, y0, x1, y1], ...]",
    _boxes_text,
    _boxes,
    list,
    {"type": "array", "items": FOUR},
    "X0,Y0,X1,Y1",
    many=True,
)
WHOLE = Kind(
    "a whole number", _whole, lambda value: _whole(_of_type(value, int, float)), int, {"type": "integer"}, "NUMBER"
)
WHOLES = Kind(
    "a list of whole numbers",
    lambda text: [_whole(part) for part in text.split(",")],
    lambda value: [_whole(_of_type(one, int, float)) for one in _of_type(value, list)],
    list,
    {"type": "array", "items": {"type": "integer"}},
    "NUMBER",
    many=True,
)
SEED = Kind(
    "a whole number from 0 to 2**64 - 1",
    lambda text: _seed(int(text) if re.fullmatch(r"[0-9]{1,20}", text) else -1),
    lambda value: _seed(_of_type(value, int)),
    int,
    {"type": "integer", "minimum": 0},
    "NUMBER",
)
NUMBER = Kind(
    "a number", _number, lambda value: float(_of_type(value, int, float)), float, {"type": "number"}, "NUMBER"
)
SECONDS = Kind(
    "a number of seconds above 0",
    lambda text: _seconds(_number(text)),
    lambda value: _seconds(float(_of_type(value, int, float))),
    float,
    {"type": "number", "exclusiveMinimum": 0},
    "SECONDS",
)
BOOLEAN = Kind("true or false", _boolean, lambda value: _of_type(value, bool), bool, {"type": "boolean"})
SIZE = Kind(
    "a width and a height in pixels, such as 1200x800",
    _size,
    lambda value: _size(_of_type(value, str)),
    str,
    {"type": "string", "pattern": "^[0-9]{1,9}[xX][0-9]{1,9}$"},
    "WxH",
)

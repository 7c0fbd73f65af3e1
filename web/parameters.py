"""The parameters of HTTP: the options of the common table under their names here, and a few of HTTP's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorhop.errors import InvalidInput
from tensorhop.options.arguments import process_arguments
from tensorhop.options.kinds import BOOLEAN, SECONDS, TEXT
from tensorhop.options.table import OPTIONS, Option
from tensorhop.values.output_options import Output

FILES = ("image", "masks", "background_image")  # pictures, which are in no table
OWN = [
    Option("description", "phrases", TEXT, "Look for this one phrase: the name that older clients use."),
    Option("continue_on_error", "", BOOLEAN, "Go on after an object has failed; otherwise the request fails.", True),
    Option("return_masks", "output.masks", BOOLEAN, "Send each object's mask too, with its place in the photo.", False),
    Option("request_id", "request_id", TEXT, "Name the request; the header X-Request-Id is another way."),
    Option("timeout", "", SECONDS, "Limit the whole request; the header X-Request-Timeout is another way.", 600),
]
PARAMETERS = {option.http_name: option for option in (*OPTIONS, *OWN)}
NAMES = {option.path: name for name, option in reversed(PARAMETERS.items()) if option.path}


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, beside the pictures."""

    keywords: dict[str, Any]  # of PipelineClient.process, without output and request_id
    output: Output
    format: str | None  # if it was asked for by name
    continue_on_error: bool
    return_masks: bool
    request_id: str
    timeout: float | None


def read(pairs: Iterable[tuple[str, str]], members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Values by option, from texts and from JSON members. An empty text leaves its parameter out.

    Raises:
        InvalidInput: an unknown parameter, one given twice that is no list, or a value of another kind.
    """
    found: dict[str, Any] = {}
    for name, text in pairs:
        if text or name not in PARAMETERS:
            _add(found, name, text, text=True)
    for name, value in (members or {}).items():
        _add(found, name, value, text=False)
    return found


def _add(found: dict[str, Any], name: str, given: Any, text: bool) -> None:
    option = PARAMETERS.get(name)
    if option is None:
        known = ", ".join(PARAMETERS)
        raise InvalidInput(
            name[:100] or "parameter", f"is no parameter; known are image, masks, background_image, {known}"
        )
    kind = option.kind
    if option.name in found and not kind.many:
        raise InvalidInput(name, "is given more than once")
    try:
        value = kind.from_text(given.strip()) if text else kind.from_json(given)
    except (ValueError, OverflowError, TypeError) as error:
        raise InvalidInput(name, f"is {str(given)[:80]!r}; it must be {kind.expects}") from error
    found[option.name] = found.get(option.name, []) + value if kind.many else value


def wish(found: dict[str, Any]) -> Wish:
    """What values mean together: a preset lies under what was given beside it.

    Raises:
        InvalidInput: both description and phrases. All else is for the pipeline to refuse.
    """
    if "description" in found and "phrases" in found:
        raise InvalidInput("description", "came with phrases; they mean the same, give one of them")
    if "description" in found:
        found["phrases"] = [found.pop("description")]
    keywords = process_arguments(found)
    return Wish(
        output=keywords.pop("output"),
        keywords=keywords,
        format=found.get("format"),
        continue_on_error=found.get("continue_on_error", True),
        return_masks=found.get("return_masks", False),
        request_id=found.get("request_id", ""),
        timeout=found.get("timeout"),
    )

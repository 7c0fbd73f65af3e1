"""The parameters of /process: the options of the common table under their names here, and a few of HTTP's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorhop.errors import InvalidInput
from tensorhop.options.arguments import process_arguments
from tensorhop.options.kinds import BOOLEAN, TEXT
from tensorhop.options.table import OPTIONS, Option
from tensorhop.values.output_options import Output
from tensorhop.web.requests.parameters import COMMON, RECORD, read_parameters

FILES = ("image", "masks", "background_image")  # pictures, which are in no table
OWN = [
    Option("description", "phrases", TEXT, "Look for this one phrase: the name that older clients use."),
    Option("continue_on_error", "", BOOLEAN, "Go on after an object has failed; otherwise the request fails.", True),
    Option("return_masks", "output.masks", BOOLEAN, "Send each object's mask too, with its place in the photo.", False),
    Option("text", "", TEXT, "Give this back in the message of a multipart answer, which older clients read."),
    RECORD,
    *COMMON,
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
    record: bool
    text: str  # to be given back


def read(pairs: Iterable[tuple[str, str]], members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Values by option. Takes and raises what `read_parameters` does."""
    return read_parameters(PARAMETERS, pairs, members, FILES)


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
        record=found.get("record", False),
        text=found.get("text", ""),
    )

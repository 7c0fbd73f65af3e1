"""Several phrases that were written into one."""

import json
import re
from collections.abc import Sequence

from tensorhop.errors import InvalidInput

# GroundingDINO's dots: "cup . spoon .", "a cup. a spoon.". Not those of initials, abbreviations and numbers.
_DOT = re.compile(
    r"(?<!\b\w)(?<!\bst)(?<!\bdr)(?<!\bmr)(?<!\bms)(?<!\bno)(?<!\bvs)(?<!\bmrs)\s*\.(?!\d)\s*", re.IGNORECASE
)
_PROMPT = re.compile(r"\s\.(\s|$)|\.\s*$")  # what a text has whose dots divide it
_MARK = re.compile(r"[\n\r;|]+")
_LIST = re.compile(r"\s*[,/&+]\s*(?:(?:and|or)\s+)?|\s+(?:and|or)\s+", re.IGNORECASE)


def check_any(phrases: Sequence[str]) -> None:
    """Raises InvalidInput: there is no phrase to look for."""
    if not phrases:
        raise InvalidInput("phrases", "is empty; name at least one object to look for")


def split_phrase(text: str) -> list[str]:
    """The phrases of a text that certainly has several: by line breaks, ";", "|", GroundingDINO's dots or a JSON list.

    A text with only one phrase is unchanged.
    """
    lines = _json_list(text) or _MARK.split(text)
    parts = [part for line in lines for part in (_DOT.split(line) if _PROMPT.search(line) else [line])]
    found = [part.strip() for part in parts if part.strip(" \t.")]
    return found if len(found) > 1 else [text]


def list_parts(phrase: str) -> list[str]:
    """What a phrase lists by commas, slashes, "and" or "or". It may still be one object: "salt and pepper mill"."""
    return [part for part in _LIST.split(phrase.strip()) if part.strip()] or [phrase]


def _json_list(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else []

"""The scores in what a chat model replied."""

import re

from tensorhop.services.quality.result import QualityResult
from tensorhop.services.runtime.answers import plain_lines, printable

FINAL = "final score"  # in the name of the score itself
LONGEST_NAME = 60  # characters; what is longer is prose with a colon in it

# "Sharpness: 0.8", "Final Score: [0.7]", "Noise = 7/10 (some grain)". A number is not the beginning of a longer one
# ("0,8", "0.8.1") or of a phrase ("1 object is cut off").
_SCORE = re.compile(
    r"(?P<name>[^:=|,;]*[^:=|,;\s])\s*[:=]\s*[\[(]?\s*"
    r"(?P<value>-?(?:\d+(?:\.\d+)?|\.\d+))(?:\s*/\s*(?P<best>\d+(?:\.\d+)?))?(?![.,]?\d)(?!\s*[^\W\d_])"
)


def read_reply(text: str, scale: float = 1) -> QualityResult:
    """The scores in a reply, whose lines are `Name: value`; `Final Score: [value]` is the score, brackets or not.

    A value is divided by `scale`; one that says its own scale, such as 7/10, by that. One that is not in 0..1 then is
    left out: it is on some other scale, and cut to 1 it would look perfect. Of several values of a name the last holds,
    since some models think aloud before.

    Args:
        scale: the value of a perfect picture, above 0.

    Returns:
        The score, None where the reply has no final one; the others by name; and the reply without control characters.
    """
    score, scores = None, {}
    for line in plain_lines(text):
        for found in _SCORE.finditer(line):
            name, best = " ".join(found["name"].split()), float(found["best"] or scale)
            value = float(found["value"]) / best if best else -1.0
            if not 0 <= value <= 1:
                continue
            if FINAL in name.casefold():
                score = value
            elif len(name) <= LONGEST_NAME:
                scores[name] = value
    return QualityResult(score, scores, printable(text).strip())

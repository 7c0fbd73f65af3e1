"""What a network says about a photo, as a phrase that detect can look for."""

import re

from tensorhop.services.runtime.answers import plain_lines, printable
from tensorhop.settings import current_settings

UNSAID = "object"  # the text of an answer without any word
PIECE = "##"  # BERT's prefix of a token that continues a word, here the prompt's last one

_THING = (
    r"(?:(?:main|central|primary|most prominent)(?: \(?(?:main|central)\)?)? (?:object|subject|focus|element)|object)"
)
_PHOTO = r"(?:image|photo|photograph|picture)"
# What chat models say before they name the object: "The main (central) object in this image is a red mug".
_OPENING = re.compile(
    rf"(?:in (?:the|this) {_PHOTO},? )?"
    rf"(?:the {_THING}(?: (?:in|of|shown in) (?:the|this) {_PHOTO})?(?: is:?|:)"
    rf"|(?:the|this) {_PHOTO} (?:shows|depicts|features|contains)|(?:this|it|there) is"
    rf"|{_THING}:)\s+",
    re.IGNORECASE,
)
# A sentence's end, not that of an abbreviation such as "St."; and what divides a text into phrases.
_END = re.compile(r"(?<=[a-z0-9)]{3})[.!?](?=\s|$)|[;|]")


def phrase_of(answer: str) -> str:
    """The phrase in a chat model's answer, without Markdown, opening words and further sentences.

    Of "The main (central) object in this image is a **red mug**. It stands on a table." it is "a red mug".

    Returns:
        One line as `one_line` gives it.
    """
    first = next((line for line in plain_lines(answer) if any(map(str.isalnum, line))), "")
    line = _OPENING.sub("", first, count=1)
    return one_line(_END.split(line, maxsplit=1)[0])


def one_line(text: str) -> str:
    """A caption as a phrase: one line without a final dot and control characters; "object" if empty.

    It is cut to the longest length of a phrase.
    """
    line = " ".join(printable(text.removeprefix(PIECE)).split())[: current_settings().max_phrase_characters]
    return line.rstrip(" .") or UNSAID

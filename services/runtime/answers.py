"""Texts that networks wrote, as they may be shown."""

import re
import unicodedata

# Markdown's marks, and quotation marks.
_MARKS = re.compile(r"[*`\"“”]+|(?<!\w)_+|_+(?!\w)|^\s*(?:#+|>|[-•]|\d+[.)])\s+")


def printable(text: str) -> str:
    """A text without characters that command a terminal or turn the direction of writing, such as ESC and U+202E.

    Each becomes a space. The ends of lines and tabs stay.
    """
    return "".join(
        " " if character not in "\n\t" and _commands(character) else character
        for character in "\n".join(text.splitlines())
    )


def plain_lines(text: str) -> list[str]:
    """The lines of a text without Markdown and control characters; those that are empty then are among them."""
    return [_MARKS.sub("", line).strip() for line in printable(text).splitlines()]


def _commands(character: str) -> bool:
    # Of the characters of format, those that join others (emoji, Persian) stay.
    bidirectional = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return bidirectional or unicodedata.category(character) in ("Cc", "Cs")

"""Colours as callers write them."""

import re

from tensorhop.errors import InvalidInput

COLOUR = re.compile(r"[a-zA-Z]+|#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}")

Colour = tuple[int, int, int]  # red, green, blue: sRGB, 0 to 255


def read_colour(text: str, field: str) -> Colour:
    """The colour that a CSS colour name, #rgb or #rrggbb says. Raises InvalidInput: it says none."""
    from PIL import ImageColor  # not above: `--help` needs the options, and not Pillow

    try:
        if not COLOUR.fullmatch(text):
            raise ValueError
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise InvalidInput(field, f"is {text[:40]!r}; give a CSS colour name, #rgb or #rrggbb") from error
    return red, green, blue

"""How a finished picture is sent: the caller's choices, their defaults and their ranges."""

import re
from dataclasses import dataclass

from tensorhop.errors import InvalidInput
from tensorhop.values.geometry import Size

ENCODINGS = ("png", "webp", "jpeg", "tensor")
QUALITY = 90  # of WebP and JPEG files
LOSSY = ("webp", "jpeg")
PNG_LEVEL = 1  # of PNG files, of PNG_LEVELS: the fastest
PNG_LEVELS = range(1, 10)
MAX_SIDES = {"webp": 16_383, "jpeg": 65_500}  # pixels: the longest side that a format, or its encoder, allows
COLOUR = re.compile(r"[a-zA-Z]+|#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}")

Colour = tuple[int, int, int]  # red, green, blue: sRGB, 0 to 255


@dataclass(frozen=True)
class Output:
    """The encoding and the background of an object's picture."""

    encoding: str = "png"  # one of ENCODINGS
    quality: int | None = None  # 1 to 100, for LOSSY encodings only; default QUALITY
    background: str = ""  # CSS colour name, #rgb or #rrggbb behind the object; "" is transparent, but white for JPEG
    png_level: int | None = None  # 1 (fastest) to 9 (smallest), for PNG only; default PNG_LEVEL

    def check(self) -> None:
        """Raises InvalidInput: the encoding, quality, level or colour is unknown or does not fit."""
        if self.encoding not in ENCODINGS:
            raise InvalidInput("output.encoding", f"is {self.encoding!r}; known are {', '.join(ENCODINGS)}")
        if self.quality is not None and self.encoding not in LOSSY:
            raise InvalidInput(
                "output.quality", f"is {self.quality}, but only {' and '.join(LOSSY)} have one, not {self.encoding}"
            )
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise InvalidInput("output.quality", f"is {self.quality}; it must be from 1 to 100")
        if self.png_level is not None and self.encoding != "png":
            raise InvalidInput("output.png_level", f"is {self.png_level}, but only png has one, not {self.encoding}")
        if self.png_level is not None and self.png_level not in PNG_LEVELS:
            raise InvalidInput("output.png_level", f"is {self.png_level}; it must be from 1 to 9")
        self.colour  # noqa: B018  (raises)

    def check_canvas(self, canvas: Size) -> None:
        """Raises InvalidInput: the encoding does not allow a picture of that size."""
        most = MAX_SIDES.get(self.encoding)
        if most and max(canvas) > most:
            raise InvalidInput(
                "output.encoding",
                f"is {self.encoding}, whose sides have at most {most:,} pixels; "
                f"the canvas is {canvas.width} x {canvas.height}",
            )

    @property
    def colour(self) -> Colour | None:
        """The colour of the background; None if it is transparent. Raises InvalidInput: it is not a colour."""
        if not self.background:
            return (255, 255, 255) if self.encoding == "jpeg" else None
        from PIL import ImageColor  # not above: `--help` needs the encodings, and not Pillow

        try:
            if not COLOUR.fullmatch(self.background):
                raise ValueError
            red, green, blue = ImageColor.getrgb(self.background)[:3]
        except ValueError as error:
            raise InvalidInput(
                "output.background", f"is {self.background[:40]!r}; give a CSS colour name, #rgb or #rrggbb"
            ) from error
        return red, green, blue

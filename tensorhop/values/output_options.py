"""How a finished picture is sent: the caller's choices, their defaults and their ranges."""

from dataclasses import dataclass
from typing import Any

from tensorhop.errors import InvalidInput
from tensorhop.values.colours import Colour, read_colour
from tensorhop.values.geometry import Size

ENCODINGS = ("png", "webp", "jpeg", "tensor")
QUALITY = 90  # of WebP and JPEG files
FITS = ("cover", "contain")  # of a background picture, as CSS's object-fit has them
LOSSY = ("webp", "jpeg")
PNG_LEVEL = 1  # of PNG files, of PNG_LEVELS: the fastest
PNG_LEVELS = range(1, 10)
MAX_SIDES = {"webp": 16_383, "jpeg": 65_500}  # pixels: the longest side that a format, or its encoder, allows
TRANSPARENT = "transparent"  # a background that is none, also where a shadow brings one


@dataclass(frozen=True)
class Output:
    """The encoding and the background of an object's picture."""

    encoding: str = "png"  # one of ENCODINGS
    quality: int | None = None  # 1 to 100, for LOSSY encodings only; default QUALITY
    # CSS colour name, #rgb or #rrggbb behind the object, or "transparent". "" is transparent, but white for JPEG, and
    # the backdrop's colour for a shadow on a backdrop.
    background: str = ""
    png_level: int | None = None  # 1 (fastest) to 9 (smallest), for PNG only; default PNG_LEVEL
    # A picture behind the object, above the background's colour, as PipelineClient.process takes an image; and one of
    # FITS: it covers the canvas, or all of it is on the canvas.
    background_image: Any = None
    background_fit: str = "cover"

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
        if self.background_fit not in FITS:
            raise InvalidInput("output.background_fit", f"is {self.background_fit!r}; known are {', '.join(FITS)}")
        self.colour  # noqa: B018  (raises)

    def check_canvas(self, canvas: Size, field: str = "output.encoding") -> None:
        """Raises InvalidInput: the encoding does not allow a picture of that size."""
        most = MAX_SIDES.get(self.encoding)
        if most and max(canvas) > most:
            raise InvalidInput(
                field,
                f"is {self.encoding}, whose sides have at most {most:,} pixels; "
                f"the canvas is {canvas.width} x {canvas.height}",
            )

    @property
    def colour(self) -> Colour | None:
        """The colour of the background; None if it is transparent. Raises InvalidInput: it is not a colour."""
        if not self.background:
            return (255, 255, 255) if self.encoding == "jpeg" else None
        if self.background == TRANSPARENT:
            if self.encoding == "jpeg":
                raise InvalidInput("output.background", f"is {TRANSPARENT}, but a JPEG is opaque; give a colour")
            return None
        return read_colour(self.background, "output.background")

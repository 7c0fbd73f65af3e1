"""Pictures of a recording as they stand in a page: small, and inside it."""

import base64
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from tensorhop.orchestrator.commands.recordings.markup import Markup, tag
from tensorhop.orchestrator.recording.recording import Part, Recording, RecordingError
from tensorhop.values.images import decode_image
from tensorhop.values.results import levels_of

MOST_SIDE = 1200  # pixels of the longer side of the photo
SIDE = 480  # likewise, of all other pictures
MISSING = "not kept"


def figure(make: Callable[[], np.ndarray | None], caption: str, side: int = SIDE, kind: str = "") -> Markup:
    """A picture with a caption; where there is none, the caption and why.

    Args:
        make: gives the pixels (uint8: grey, RGB or RGBA); None if they were not kept.
    """
    try:
        pixels = make()
        why = MISSING
    except (RecordingError, ValueError) as error:
        pixels, why = None, str(error)
    inner = tag("div", why, "missing") if pixels is None or not pixels.size else tag("img", src=data_uri(pixels, side))
    return tag("figure", inner + tag("figcaption", caption), kind)


def data_uri(pixels: np.ndarray, side: int) -> str:
    """Pixels (uint8: grey, RGB or RGBA) as a picture of at most so many pixels a side inside an address."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file, kind = io.BytesIO(), "webp" if pixels.ndim == 3 and pixels.shape[2] == 4 else "jpeg"
    picture.save(file, kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def pixels_of(part: Part | None) -> np.ndarray | None:
    """A part as pixels: uint8, grey, RGB or RGBA; None if there is none, or it was not kept.

    Raises:
        RecordingError: its file cannot be read.
    """
    if part is None or not part.kept:
        return None
    if not part.shape:
        with Image.open(io.BytesIO(part.file())) as picture:
            return np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
    return levels_of(part.array())


def photo_of(recording: Recording, image: dict[str, object]) -> np.ndarray | None:
    """The upright pixels of an image of the request: uint8, height x width x 3; None if they were not kept."""
    part = recording.part(image.get("tensor") or image)  # type: ignore[arg-type]
    if part is None or not part.kept:
        return None
    return part.array() if part.shape else decode_image(part.file())

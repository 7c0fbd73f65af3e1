"""What a caller chooses of an enlargement."""

from dataclasses import dataclass
from typing import Literal

from tensorhop.errors import InvalidInput

SCALES = (2, 4)


@dataclass(frozen=True)
class UpscaleOptions:
    """The choices for one request; all images of a batch share them."""

    scale: int = 2  # 2 or 4
    # How the colours of a result are brought to the input's; None for the model's own way.
    align: Literal["none", "adain", "wavelet"] | None = None
    prompt: str = ""  # for networks that take text
    seed: int | None = None  # for networks that draw noise

    def check(self) -> None:
        """Raises InvalidInput: the scale is not one of SCALES."""
        if self.scale not in SCALES:
            raise InvalidInput("scale", f"is {self.scale}; it must be 2 or 4")

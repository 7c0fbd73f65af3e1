"""What a caller chooses of an enlargement."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

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


def enlarge(image: np.ndarray, scale: int, factor: int, once: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A picture `scale` times as large, by a network of one factor.

    The network is run until its answer is large enough; what is too large is reduced by area.

    Args:
        image: uint8, height x width x 3.
        scale: 2 or 4.
        factor: by how much the network enlarges: 2 or 4.
        once: runs the network: such an array in, one `factor` times as large out.
    """
    done = 1
    while done < scale:
        image, done = once(image), done * factor
    if done > scale:
        size = image.shape[1] * scale // done, image.shape[0] * scale // done
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image

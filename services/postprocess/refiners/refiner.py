"""The interface of what refines a mask."""

from typing import Protocol

import numpy as np

from tensorhop.models.model import Model


class Refiner(Model, Protocol):
    """What refines the alpha of an object at its edges. It can be used from several threads at once."""

    def in_blocks(self, alpha: np.ndarray, side: int) -> bool:
        """Whether a mask is refined as well if it is brought down by blocks of side x side pixels before.

        Args:
            alpha: float32, height x width, 0 to 1.
        """

    def refine(self, crop: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """A mask with better edges.

        Args:
            crop: uint8, height x width x 3, sRGB: the photo.
            alpha: float32, height x width, 0 to 1.

        Returns:
            float32, height x width, 0 to 1; `alpha` itself if there is nothing to refine.

        Raises:
            MemoryError: the device has too little memory.
        """

"""Refinement without a network: `refine_edges`."""

import numpy as np

from tensorhop.services.postprocess.refine import is_coarse, refine_edges


class EmbeddedRefiner:
    """Moves the soft edges of a coarse mask onto the photo's; it has no weights."""

    name = "embedded"
    revision = digest = ""
    largest_batch = 1

    def warm_up(self) -> None:
        """Nothing: it needs no one-time work."""

    def in_blocks(self, alpha: np.ndarray, side: int) -> bool:
        return is_coarse(alpha, side)

    def refine(self, crop: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        return refine_edges(crop, alpha)


EMBEDDED = EmbeddedRefiner()

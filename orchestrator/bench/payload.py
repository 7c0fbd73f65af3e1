"""What the benchmarks send: arrays of the sizes that travel between models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Payload:
    """An array's name, dtype and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        import numpy as np

        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def make(self) -> np.ndarray:
        """Smooth with a little noise, as a camera's picture is: some of the methods compress."""
        import numpy as np

        rows, columns, *_ = (np.linspace(0, 6, size, dtype=np.float32) for size in self.shape)
        smooth = (np.sin(rows)[:, None] * np.cos(columns) + 1) * 120
        noise = np.random.default_rng(0).integers(0, 8, self.shape, dtype=np.uint8)
        return (smooth.reshape(smooth.shape + (1,) * (len(self.shape) - 2)) + noise).astype(self.dtype)


PAYLOADS = {
    payload.name: payload
    for payload in (
        Payload("150KB", "uint8", (224, 224, 3)),  # the input of a classifier
        Payload("3MB", "uint8", (1000, 1000, 3)),
        Payload("12.6MB", "float32", (1024, 1024, 3)),  # the input of BiRefNet
        Payload("36MB", "uint8", (3000, 4000, 3)),  # a photo of 12 megapixels
    )
}

"""Median cut (Heckbert, Color Image Quantization for Frame Buffer Display, 1982), as Pillow has it."""

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

Colour = tuple[int, int, int, float]  # red, green, blue, each 0 to 255; and its share of the pixels, 0 to 1


class MedianCut:
    """Finds the colours of pixels. It has no weights."""

    name, revision = "median-cut", "1"
    digest = hashlib.sha256(b"median-cut 1").hexdigest()  # part of the cache's keys: change it with the answers
    largest_batch = 8

    def warm_up(self) -> None:
        """There is nothing to warm up."""

    def predict(self, batch: Sequence[tuple[np.ndarray, int]]) -> list[list[Colour]]:
        """The colours of each item, the most frequent first. An item is pixels, n x 3, uint8, and how many colours."""
        return [find_colours(pixels, most) for pixels, most in batch]


def find_colours(pixels: np.ndarray, most: int) -> list[Colour]:
    found = Image.fromarray(pixels[None]).quantize(most, Image.Quantize.MEDIANCUT)
    palette = np.reshape(found.getpalette(), (-1, 3)).tolist()
    counts = sorted(found.getcolors(), reverse=True)
    return [(*palette[index], count / len(pixels)) for count, index in counts]

"""The central object of a photo: the salient object near its middle."""

import math
from typing import NamedTuple

import numpy as np

from tensorhop.services.embedded.components import components
from tensorhop.services.embedded.saliency import SALIENT, Saliency
from tensorhop.values.geometry import Box

_REACH = 0.35  # of the photo's size: at this distance from the middle, an object's weight falls to 1/e


class Central(NamedTuple):
    """Where the central object is.

    Attributes:
        box: in pixels of the photo; the whole photo if nothing stands out.
        strength: the largest saliency in the photo, 0 to 1.
    """

    box: Box
    strength: float


class CentralObject:
    """Finds the central object by U2-Net-p: the salient area with the most mass, weighted by nearness to the middle."""

    def __init__(self) -> None:
        self._saliency = Saliency()

    def find(self, photo: np.ndarray) -> Central:
        """Find the central object of a photo (height x width x 3, uint8, sRGB)."""
        whole = Box(0.0, 0.0, float(photo.shape[1]), float(photo.shape[0]))
        saliency = self._saliency.predict_small(photo)
        found = components(saliency, SALIENT, whole)
        central = max(found, key=lambda thing: thing.mass * _nearness(thing.box, whole), default=None)
        return Central(central.box if central else whole, float(saliency.max()))


def _nearness(box: Box, whole: Box) -> float:
    x = (box.x0 + box.x1) / 2 / whole.width - 0.5
    y = (box.y0 + box.y1) / 2 / whole.height - 0.5
    return math.exp(-(x * x + y * y) / _REACH**2)

"""BRISQUE: how natural the statistics of a picture's luma are.

Mittal, Moorthy and Bovik 2012, "No-Reference Image Quality Assessment in the Spatial Domain". The model is OpenCV's
own, trained on the LIVE database; services/embedded/weights/NOTICE has its source. Values agree with those of OpenCV's
contributed `quality` module; tests/services/test_brisque.py says how closely.
"""

import io
import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from tensorhop.services.embedded import weights

LEAST_SIDE = 16  # pixels; half the size is looked at, too, through a window of 7 x 7
WORST = 100.0
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns to the right
WINDOW, SIGMA, REACH = (7, 7), 7 / 6, 3  # pixels, of the local mean
BAND = 256  # rows
_SHAPES = np.arange(0.2, 10, 0.001)  # of generalized Gaussians


class Brisque:
    """The model, ready to score. Raises DamagedWeights: its file is missing or not the one of this version."""

    def __init__(self) -> None:
        content = weights.read(weights.FOLDER / f"{weights.BRISQUE_LIVE}.npz", weights.DIGESTS[weights.BRISQUE_LIVE])
        with np.load(io.BytesIO(content)) as arrays:
            self._vectors, self._weights = arrays["vectors"].astype(np.float64), arrays["weights"]
            self._bias, self._gamma = float(arrays["bias"]), float(arrays["gamma"])
            self._low, self._high = arrays["limits"].astype(np.float64)

    def distortion(self, luma: np.ndarray) -> float:
        """0 (natural) to 100 (distorted).

        Args:
            luma: uint8, height x width, both at least LEAST_SIDE.
        """
        scaled = 2 * (features(luma) - self._low) / (self._high - self._low) - 1
        # A support vector machine for regression, with radial basis functions.
        kernel = np.exp(-self._gamma * ((self._vectors - scaled) ** 2).sum(axis=1))
        return float(np.clip(kernel @ self._weights + self._bias, 0, WORST))


def features(luma: np.ndarray) -> np.ndarray:
    """The 36 features of a picture, float64: 18 at its own size, and 18 at half of it.

    Args:
        luma: uint8, height x width.
    """
    image = luma.astype(np.float32) / np.float32(255)
    half = cv2.resize(image, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_CUBIC)
    return np.array([*_of_one_size(image), *_of_one_size(half)])


def _of_one_size(image: np.ndarray) -> list[float]:
    """The 18 features of float32 luma, 0 to 1. Band by band: a large picture needs no more memory than a band."""
    padded = cv2.copyMakeBorder(image, REACH, REACH, REACH, REACH, cv2.BORDER_REPLICATE)
    sums = np.zeros((1 + len(NEIGHBOURS), 5))
    above = None  # the last row of the band before
    for top in range(0, len(image), BAND):
        band = _normalized(padded[top : top + BAND + 2 * REACH])
        sums[0] += _sums(band)
        rows = band if above is None else np.vstack([above, band])
        for index, (down, right) in enumerate(NEIGHBOURS, 1):
            own = rows if down else band  # a row pairs with itself once
            height, width = own.shape
            first = own[: height - down, max(0, -right) : width - max(0, right)]
            second = own[down:, max(0, right) : width + min(0, right)]
            sums[index] += _sums(first * second)
        above = band[-1:]
    whole, *pairs = (Asymmetric.of(one, image.size) for one in sums)
    found = [whole.shape, (whole.left + whole.right) / 2]
    for pair in pairs:
        found += [pair.shape, pair.mean, pair.left, pair.right]
    return found


def _normalized(padded: np.ndarray) -> np.ndarray:
    """Luma less its local mean, over its local deviation (mean-subtracted contrast-normalized coefficients).

    Args:
        padded: float32, with REACH pixels around it that are not in the answer.

    Returns:
        float64.
    """
    image = padded.astype(np.float64)
    inner = slice(REACH, -REACH), slice(REACH, -REACH)
    mean = cv2.GaussianBlur(image, WINDOW, SIGMA)[inner]
    square = cv2.GaussianBlur(image * image, WINDOW, SIGMA)[inner]
    return (image[inner] - mean) / (np.sqrt(np.abs(square - mean * mean)) + 1 / 255)


def _sums(values: np.ndarray) -> tuple[float, ...]:
    """How many values are below and above 0, the sums of their squares, and that of the absolute values."""
    magnitudes = np.abs(values)
    squares, signed = np.square(values).sum(), (values * magnitudes).sum()
    counts = np.count_nonzero(values < 0), np.count_nonzero(values > 0)
    return *map(float, counts), (squares - signed) / 2, (squares + signed) / 2, magnitudes.sum()


@dataclass(frozen=True)
class Asymmetric:
    """An asymmetric generalized Gaussian distribution, by its moments."""

    shape: float
    left: float  # variance below 0
    right: float  # variance above 0

    @property
    def mean(self) -> float:
        one, two, three = (math.gamma(number / self.shape) for number in (1, 2, 3))
        return (math.sqrt(self.right) - math.sqrt(self.left)) * math.sqrt(one / three) * two / one

    @classmethod
    def of(cls, sums: np.ndarray, count: int) -> "Asymmetric":
        """The distribution of values by their `_sums`.

        Args:
            count: of all pixels; those without a neighbour count as 0.
        """
        below, above, left_squares, right_squares, magnitudes = map(float, sums)
        left, right = (total / max(1.0, number) for total, number in ((left_squares, below), (right_squares, above)))
        if not left or not right:  # a picture of one colour, or nearly: the most peaked shape
            return cls(float(_SHAPES[0]), left, right)
        ratio = math.sqrt(left / right)
        spread = (magnitudes / count) ** 2 / ((left_squares + right_squares) / count)
        wanted = spread * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
        return cls(float(_SHAPES[np.argmin((_spreads() - wanted) ** 2)]), left, right)


@cache
def _spreads() -> np.ndarray:
    """For each of _SHAPES, the squared mean of the absolute value over the mean square."""
    gamma = math.gamma
    return np.array([gamma(2 / shape) ** 2 / (gamma(1 / shape) * gamma(3 / shape)) for shape in _SHAPES])

"""Views of an equirectangular panorama, anti-aliased, without seams at its edge and at its poles."""

import math
from itertools import pairwise

import cv2
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.values.geometry import Size, size_of
from tensorhop.values.panoramas.camera import Camera

LONGEST_SIDE = 32_764  # cv2.remap takes less than 32,767, and the border has a pixel on each side
TOLERANCE = 0.01  # of the ratio 2:1
STRIP_PIXELS = 128 * 1024  # of a view, sampled at a time: their maps stay in the processor's cache
BIAS = 0.5  # levels, by which smaller versions are taken later: bilinear sampling blurs by itself


class Panorama:
    """An equirectangular panorama, ready for views to be cropped out of it.

    Smaller versions of it, each half as large, are made when a view first needs them. Views of one panorama may not be
    cropped by several threads at once.

    Args:
        pixels: height x width x 3, uint8: all of the sphere, 360 degrees wide and 180 high, yaw 0 in the middle.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.size = size_of(pixels)
        self._small = pixels  # the smallest version so far, without a border
        self._levels = [bordered(pixels)]

    def view(self, camera: Camera, size: Size) -> np.ndarray:
        """The view of a camera: uint8, height x width x 3.

        It is sampled bilinearly, from smaller versions of the panorama where a pixel of the view covers more than one
        of the panorama (Williams 1983, "Pyramidal parametrics"). How much it covers follows from the model's
        derivative.

        Args:
            camera: within its ranges.
            size: of the view; at least 1 x 1.
        """
        view = np.empty((size.height, size.width, 3), np.uint8)
        rows = max(1, STRIP_PIXELS // size.width)
        for start in range(0, size.height, rows):
            stop = min(start + rows, size.height)
            view[start:stop] = self._strip(camera, size, start, stop)
        return view

    def _strip(self, camera: Camera, size: Size, start: int, stop: int) -> np.ndarray:
        """Rows start to stop - 1 of a view."""
        focal = camera.focal_length(size.height)
        x = ((np.arange(size.width) + 0.5 - size.width / 2) / focal).astype(np.float32)
        y = ((size.height / 2 - 0.5 - np.arange(start, stop)) / focal).astype(np.float32)[:, None]
        eta = lifted(x, y, camera.xi)
        right, up, forward = turned(x, y, eta, camera)
        column = np.arctan2(right, forward) * np.float32(1 / (2 * math.pi)) + np.float32(0.5)  # 0 to 1
        row = np.float32(0.5) - np.arctan2(up, np.hypot(right, forward)) * np.float32(1 / math.pi)
        level = self._level_of(eta, focal, camera.xi)
        highest = math.ceil(level.max()) if level is not None else 0
        strip = self._sampled(highest, column, row)
        for number in range(highest - 1, -1, -1):
            assert level is not None
            share = np.clip(level - np.float32(number), 0, 1)  # of the smaller version
            if share.min() < 1:
                strip = cv2.blendLinear(self._sampled(number, column, row), strip, 1 - share, share)
        return strip

    def _level_of(self, eta: np.ndarray, focal: float, xi: float) -> np.ndarray | None:
        """Which version of the panorama each pixel is sampled from; None if it is the full one for all of them.

        A ray's image moves by f (1 + xi cos a) / eta^2 pixels a radian outwards, and by f / eta around the middle. The
        geometric mean of the two counts.
        """
        covered = self.size.width * self.size.height / (2 * math.pi**2 * focal**2)
        area = np.float32(covered) * eta**3 / (1 + np.float32(xi) * (eta - np.float32(xi)))
        if area.max() <= 4**BIAS:
            return None
        most = math.log2(max(self.size))
        return np.clip(np.log2(area) / 2 - np.float32(BIAS), 0, np.float32(most))

    def _sampled(self, number: int, column: np.ndarray, row: np.ndarray) -> np.ndarray:
        """A version of the panorama at columns and rows from 0 to 1, its edges: uint8, as many as there are."""
        while len(self._levels) <= number:
            self._small = halved(self._small)
            self._levels.append(bordered(evened(self._small)))
        level = self._levels[number]
        # A pixel's centre is half a pixel from its edge, and the border moves all by one.
        x = column * np.float32(level.shape[1] - 2) + np.float32(0.5)
        y = row * np.float32(level.shape[0] - 2) + np.float32(0.5)
        return cv2.remap(level, x, y, cv2.INTER_LINEAR)


def check_panorama(size: Size, any_ratio: bool, field: str) -> None:
    """Raises InvalidInput: a side is too long, or the picture is not twice as wide as high and must be."""
    if max(size) > LONGEST_SIDE:
        raise InvalidInput(
            field, f"is {size.width} x {size.height} pixels; a side of a panorama may have at most {LONGEST_SIDE:,}"
        )
    ratio = size.width / size.height
    if not any_ratio and abs(ratio / 2 - 1) > TOLERANCE:
        raise InvalidInput(
            field,
            f"is {size.width} x {size.height} pixels, a ratio of {ratio:.3g}:1; a panorama is 2:1; "
            "set any_ratio to take it all the same",
        )


def lifted(x: np.ndarray, y: np.ndarray, xi: float) -> np.ndarray:
    """The factor eta by which a point of the image plane becomes one of the unit sphere: (eta x, eta y, eta - xi).

    It solves |(eta x, eta y, eta - xi)| = 1, and is cos a + xi.

    Args:
        x, y: float32, in focal lengths from the middle, to the right and up.
    """
    squared = x * x + y * y
    eta: np.ndarray = (np.float32(xi) + np.sqrt(1 + np.float32(1 - xi * xi) * squared)) / (1 + squared)
    return eta


def turned(x: np.ndarray, y: np.ndarray, eta: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rays of pixels in the panorama: how far they go to the right, up and forward. Parameters as for `lifted`."""
    right, up, forward = (
        eta * (np.float32(a) * x + np.float32(b) * y + np.float32(c)) - np.float32(camera.xi * c)
        for a, b, c in camera.rotation()
    )
    return right, up, forward


def bordered(pixels: np.ndarray) -> np.ndarray:
    """A panorama with what is beyond its edges, a pixel wide: it goes round, and over a pole half a turn away."""
    height, width = pixels.shape[:2]
    result = np.empty((height + 2, width + 2, 3), np.uint8)
    result[1:-1, 1:-1] = pixels
    for row in (0, -1):
        result[row, 1:-1] = np.roll(pixels[row], width // 2, axis=0)
    result[:, 0], result[:, -1] = result[:, -2], result[:, 1]
    return result


def halved(pixels: np.ndarray) -> np.ndarray:
    """A panorama at half its size, by area."""
    height, width = pixels.shape[:2]
    return cv2.resize(pixels, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)


def evened(pixels: np.ndarray) -> np.ndarray:
    """A panorama whose rows near the poles hold no more detail than those at the equator.

    There, the columns are narrower on the sphere. Each row is averaged over as many as are as wide as one at the
    equator.
    """
    height, width = pixels.shape[:2]
    narrow = 1 / np.sin((np.arange(height) + 0.5) * (math.pi / height))
    wide = np.minimum(2 * np.round((narrow - 1) / 2) + 1, width - 1 + width % 2).astype(int)  # odd
    result = pixels.copy()
    edges = [0, *(np.flatnonzero(np.diff(wide)) + 1), height]
    for start, stop in pairwise(edges):
        if (columns := int(wide[start])) > 1:
            reach = columns // 2
            band = cv2.copyMakeBorder(pixels[start:stop], 0, 0, reach, reach, cv2.BORDER_WRAP)
            result[start:stop] = cv2.blur(band, (columns, 1))[:, reach : reach + width]
    return result

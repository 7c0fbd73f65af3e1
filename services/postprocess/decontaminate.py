"""Takes the background's colour out of soft edges.

Method: T. Germer, T. Uelwer, S. Conrad, S. Harmeling, "Fast Multi-Level Foreground Estimation", 2020,
arXiv:2006.14970. A pixel I = a F + (1 - a) B of known a has many possible F and B. The method takes smooth ones,
and minimises, over each pixel and its four neighbours j,

    |a F + (1 - a) B - I|^2 + sum_j (EPSILON + OMEGA |a - a_j|) (|F - F_j|^2 + |B - B_j|^2)

It solves each pixel's 2 x 2 system for its neighbours' present values, from a tiny picture up to the full one. Three
things differ from the paper:

- Only soft pixels, those with 0 < a < 1, are solved for: F is the pixel where a is 1, and B is the pixel where a is 0.
  So the time grows with the number of soft pixels.
- The smaller pictures are averages of the larger ones, not samples. Averages keep I = a F + (1 - a) B. The parent of a
  soft pixel is soft, so a level needs only its soft pixels and their neighbours.
- Each sweep is accelerated by Chebyshev's semi-iteration (Golub and Varga 1961), so that few sweeps come close to the
  minimum.
"""

from dataclasses import dataclass

import cv2
import numpy as np

EPSILON = 1e-5  # smoothness everywhere
OMEGA = 0.01  # additional smoothness across steps of alpha
COARSE_SIDE = 256  # levels up to this side are swept COARSE_SWEEPS times, larger ones FINE_SWEEPS times
COARSE_SWEEPS = 7
FINE_SWEEPS = 3
SPREAD = 0.9  # Chebyshev's semi-iteration assumes that this fraction of an error is left after a plain sweep
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class Level:
    """The active pixels of one level: its soft pixels and their neighbours, numbered row by row."""

    width: int
    active: np.ndarray  # flat indices of the active pixels
    number: np.ndarray  # the active pixel's number at each flat index
    colors: np.ndarray  # 6 x active, 0 to 255: F's red, green, blue, then B's


def estimate_foreground(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The colours of an object without the background that shines through its soft edges.

    Args:
        image: uint8, height x width x 3, the photo.
        alpha: float32, height x width, 0 to 1: how much of each pixel is the object. It is not changed.

    Returns:
        uint8, height x width x 3. Where alpha is 1, exactly the photo's pixel. Where alpha is 0, the object's colour
        beside soft pixels, and black elsewhere.
    """
    soft = (alpha > 0) & (alpha < 1)
    result = cv2.copyTo(image, (alpha >= 1).view(np.uint8))
    if not soft.any():
        return result
    pyramid = [(image, alpha, soft)]
    while max(soft.shape) > 1:
        image, alpha, soft = halved(image), halved(alpha), any_of_four(soft)
        pyramid.append((image, alpha, soft))
    level = None
    for image, alpha, soft in reversed(pyramid):
        level = solved(image, alpha, soft, level)
    assert level is not None
    result.reshape(-1, 3)[level.active] = np.rint(level.colors[:3]).astype(np.uint8).T
    return result


def even(picture: np.ndarray) -> np.ndarray:
    """The picture with its last row or column repeated if the height or width is odd.

    Args:
        picture: height x width or height x width x channels, of any dtype.
    """
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


def halved(picture: np.ndarray) -> np.ndarray:
    """The means of each 2 x 2 pixels of a picture.

    Args:
        picture: height x width or height x width x channels, uint8 or float32.

    Returns:
        The same dtype, height and width halved and rounded up.
    """
    picture = even(picture)
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def any_of_four(soft: np.ndarray) -> np.ndarray:
    """Whether any of each 2 x 2 pixels is soft. The mean of alpha does not tell, since it is rounded.

    Args:
        soft: height x width, bool.

    Returns:
        bool, height and width halved and rounded up.
    """
    whole = even(soft.view(np.uint8)).view(bool)
    return whole[::2, ::2] | whole[1::2, ::2] | whole[::2, 1::2] | whole[1::2, 1::2]


def solved(image: np.ndarray, alpha: np.ndarray, soft: np.ndarray, coarser: Level | None) -> Level:
    """One level, solved from the values of the next coarser one.

    Args:
        image: uint8, height x width x 3.
        alpha: float32, height x width, 0 to 1.
        soft: bool, height x width: the pixels to solve for.
        coarser: None at the coarsest level, which starts from the picture itself.
    """
    height, width = alpha.shape
    active = np.flatnonzero(cv2.dilate(soft.view(np.uint8), CROSS))
    number = np.zeros(alpha.size, np.int32)
    number[active] = np.arange(active.size, dtype=np.int32)
    opacity = alpha.reshape(-1)[active]
    color = np.ascontiguousarray(image.reshape(-1, 3)[active].T, dtype=np.float32)
    if coarser is None:
        colors = np.concatenate([color, color])
    else:
        y, x = np.divmod(active, width)
        colors = np.take(coarser.colors, coarser.number[(y >> 1) * coarser.width + (x >> 1)], axis=1)
        known = ~soft.reshape(-1)[active]
        np.copyto(colors[:3], color, where=known & (opacity >= 1))
        np.copyto(colors[3:], color, where=known & (opacity <= 0))
    numbers = np.flatnonzero(soft.reshape(-1)[active])
    at = active[numbers]
    y, x = np.divmod(at, width)
    neighbours = [  # beyond the edge of the picture: the pixel itself
        number[at - (x > 0)],
        number[at + (x < width - 1)],
        number[at - width * (y > 0)],
        number[at + width * (y < height - 1)],
    ]
    sweeps = COARSE_SWEEPS if max(height, width) <= COARSE_SIDE else FINE_SWEEPS
    relax(colors, numbers, neighbours, opacity, color[:, numbers], sweeps)
    return Level(width, active, number, colors)


def relax(
    colors: np.ndarray,
    numbers: np.ndarray,
    neighbours: list[np.ndarray],
    opacity: np.ndarray,
    color: np.ndarray,
    sweeps: int,
) -> None:
    """Solve the systems of some soft pixels, all at once, `sweeps` times. Changes `colors` in place.

    With s = sum_j w_j, M and N the neighbours' means of F and B weighted by w_j, and r = I - a M - (1 - a) N, the
    solution is F = M + a r / (a^2 + (1 - a)^2 + s) and B = N + (1 - a) r / (a^2 + (1 - a)^2 + s).

    Args:
        colors: float32, 6 x active, 0 to 255: F's red, green, blue, then B's.
        numbers: int, of the soft pixels among the active ones.
        neighbours: four arrays of the shape of `numbers`: the numbers of the neighbours.
        opacity: float32, active, 0 to 1: a.
        color: float32, 3 x soft, 0 to 255: I of the soft pixels.
    """
    a = opacity[numbers]
    b = 1 - a
    weights = [np.float32(EPSILON) + np.float32(OMEGA) * np.abs(opacity[j] - a) for j in neighbours]
    total = weights[0] + weights[1] + weights[2] + weights[3]
    for weight in weights:
        weight /= total
    scale = 1 / (a * a + b * b + total)
    now = np.take(colors, numbers, axis=1)
    before, mean, part = now, np.empty_like(now), np.empty_like(now)
    momentum = 1.0
    for sweep in range(sweeps):
        np.take(colors, neighbours[0], axis=1, out=mean, mode="clip")
        mean *= weights[0]
        for j, weight in zip(neighbours[1:], weights[1:], strict=True):
            np.take(colors, j, axis=1, out=part, mode="clip")  # mode: otherwise numpy writes into a buffer first
            part *= weight
            mean += part
        residual = color - a * mean[:3] - b * mean[3:]
        residual *= scale
        mean[:3] += a * residual
        mean[3:] += b * residual
        if sweep:
            momentum = 1 / (1 - SPREAD**2 / (2 if sweep == 1 else 4) * momentum)
            mean -= before
            mean *= np.float32(momentum)
            mean += before
        np.clip(mean, 0, 255, out=mean)
        colors[:, numbers] = mean
        before, now, mean = now, mean, before if sweep else np.empty_like(mean)

"""Random cameras: eight intervals of yaw, and a pair of cameras for each panorama in each of them."""

import numpy as np

from tensorhop.values.panoramas import Camera, CameraPair
from tensorhop.values.panoramas.camera import RANGES

INTERVALS = range(1, 9)
INTERVAL_DEGREES = 45
# What cameras are drawn from, and clipped to: degrees, but for xi.
DRAWN = RANGES | {"roll": (-90, 90), "vfov": (30, 140)}
APART = {"pitch": 40, "vfov": 40}  # the left camera from the right one, at most
SECOND = {"pitch": 20, "roll": 20, "vfov": 20, "xi": 0.2}  # the second panorama's left one from the first's


def draw(seed: int | None, panoramas: int = 1) -> dict[int, list[CameraPair]]:
    """The cameras of each interval, 1 to 8, one pair for each panorama.

    The draws are `numpy.random.default_rng(seed).random((8, 13))`, so the same on every machine. Row by row, for one
    interval after the other, and always all of them:

    - 0 yaw, of both cameras
    - 1 to 4 pitch, roll, vfov and xi of the right camera
    - 5, 6 how far pitch and vfov of the left camera are from those of the right one
    - 7, 8 roll and xi of the left camera
    - 9 to 12 how far pitch, roll, vfov and xi of the second panorama's left camera are from those of the first's

    A number u from 0 to 1 becomes least + u (most - least). What is out of its range then is clipped to it.

    Args:
        seed: 0 or more; None for cameras that differ from call to call.
        panoramas: 1 or 2.
    """
    found = {}
    for interval, numbers in zip(INTERVALS, np.random.default_rng(seed).random((len(INTERVALS), 13)), strict=True):
        draws = iter(numbers.tolist())

        def among(name: str, draws: "iter[float]" = draws) -> float:
            least, most = DRAWN[name]
            return least + next(draws) * (most - least)

        def near(name: str, value: float, apart: float, draws: "iter[float]" = draws) -> float:
            least, most = DRAWN[name]
            return min(max(value + (2 * next(draws) - 1) * apart, least), most)

        yaw = -180 + INTERVAL_DEGREES * (interval - 1 + next(draws))
        right = Camera(yaw, **{name: among(name) for name in ("pitch", "roll", "vfov", "xi")})
        moved = {name: near(name, getattr(right, name), apart) for name, apart in APART.items()}
        left = Camera(yaw, **moved, roll=among("roll"), xi=among("xi"))
        second = Camera(yaw, **{name: near(name, getattr(left, name), apart) for name, apart in SECOND.items()})
        found[interval] = [CameraPair(left, right), CameraPair(second, right)][:panoramas]
    return found

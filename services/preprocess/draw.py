"""Random cameras: eight intervals of yaw, and a pair of cameras for each panorama in each of them."""

import numpy as np

from tensorhop.values.panoramas import INTERVALS, Camera, CameraPair
from tensorhop.values.panoramas.camera import INTERVAL_DEGREES, RANGES

# What cameras are drawn from, and clipped to: degrees, but for xi.
DRAWN = {"pitch": RANGES["pitch"], "roll": (-90, 90), "vfov": (30, 140), "xi": RANGES["xi"]}
APART = 40  # pitch and vfov of the left camera from those of the right one, at most
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
    for interval, row in zip(INTERVALS, np.random.default_rng(seed).random((len(INTERVALS), 13)).tolist(), strict=True):
        yaw = -180 + INTERVAL_DEGREES * (interval - 1 + row[0])
        right = Camera(yaw, *(among(name, u) for name, u in zip(DRAWN, row[1:5], strict=True)))
        pitch, vfov = near("pitch", right.pitch, APART, row[5]), near("vfov", right.vfov, APART, row[6])
        left = Camera(yaw, pitch, among("roll", row[7]), vfov, among("xi", row[8]))
        moved = (near(name, getattr(left, name), SECOND[name], u) for name, u in zip(SECOND, row[9:], strict=True))
        found[interval] = [CameraPair(left, right), CameraPair(Camera(yaw, *moved), right)][:panoramas]
    return found


def among(name: str, u: float) -> float:
    """A number of what is drawn, by a draw from 0 to 1."""
    least, most = DRAWN[name]
    return least + u * (most - least)


def near(name: str, value: float, apart: float, u: float) -> float:
    """A number at most so far from a value, by a draw from 0 to 1; clipped to its range."""
    least, most = DRAWN[name]
    return min(max(value + (2 * u - 1) * apart, least), most)

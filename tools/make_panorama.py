"""Render the sample panorama, examples/panoramas/court.jpg: `python tools/make_panorama.py [FILE]`, about four minutes.

A round court under an open sky, traced ray by ray: tiles, columns, balls, bushes in pots, a balloon near the zenith,
and hills. Everything is computed from the numbers in this file, so the picture is the project's own.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
FILE = ROOT / "examples" / "panoramas" / "court.jpg"
WIDTH, HEIGHT = 2048, 1024
SAMPLES = 2  # rays a pixel, across and down
QUALITY = 82

Vectors = Callable[[np.ndarray], np.ndarray]  # points, n x 3 -> vectors, n x 3
Colours = Callable[[np.ndarray, np.ndarray], np.ndarray]  # points and normals, n x 3 each -> colours, n x 3
RGB = tuple[float, float, float]


class Thing(NamedTuple):
    """Something to see."""

    meet: Callable[
        [np.ndarray, np.ndarray], np.ndarray
    ]  # origins and rays, n x 3 each -> distances, n; FAR if it misses
    normals: Vectors
    colours: Colours


def three(x: float, y: float, z: float) -> np.ndarray:
    """A colour or a vector."""
    return np.array((x, y, z), np.float32)


EYE = three(0, 1.6, 0)  # metres: x to the right, y up, z forward
FAR = np.float32(1e6)

SUN = three(0.55, 0.62, 0.56) / np.float32(np.linalg.norm([0.55, 0.62, 0.56]))
SUNLIGHT, SKYLIGHT = three(1, 0.93, 0.8), three(0.36, 0.42, 0.52)


def noise(seed: int, points: np.ndarray) -> np.ndarray:
    """Smooth noise over the plane, -1 to 1, from lattices of three sizes.

    Args:
        points: n x 2, float32.
    """
    once = np.random.default_rng(seed).random((64, 64), np.float32) * 2 - 1
    lattice = cv2.copyMakeBorder(once, 0, 1, 0, 1, cv2.BORDER_WRAP)
    total = np.zeros(len(points), np.float32)
    for octave in range(3):
        at = (points * 2**octave + 31 * octave) % 64
        maps = at.astype(np.float32).reshape(-1, 1, 2)
        for start in range(0, len(at), 30_000):  # a picture may not be longer for remap
            some = maps[start : start + 30_000]
            piece = cv2.remap(lattice, some[..., 0], some[..., 1], cv2.INTER_LINEAR)
            total[start : start + len(some)] += piece[:, 0] / 2**octave
    return total / 1.75


def plain(red: float, green: float, blue: float, grain: float = 0.05) -> Colours:
    """One colour, with a little grain."""

    def colours(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        around = np.stack([points[:, 0] + points[:, 2], points[:, 1]], 1)
        return three(red, green, blue) * (1 + grain * noise(3, 6 * around)[:, None])

    return colours


def fluted(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A column: stone with grooves from top to bottom."""
    angle = np.arctan2(normals[:, 0], normals[:, 2])
    groove = 0.86 + 0.14 * np.cos(20 * angle) ** 2
    stone = three(0.82, 0.76, 0.66) * (1 + 0.08 * noise(5, 3 * points[:, :2])[:, None])
    return stone * groove[:, None]


def striped(one: RGB, other: RGB, stripes: int) -> Colours:
    """A ball with stripes from pole to pole."""

    def colours(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        first = np.sin(stripes * np.arctan2(normals[:, 0], normals[:, 2])) > 0
        return np.where(first[:, None], three(*one), three(*other))

    return colours


def leaves(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    speckle = noise(7, 9 * (points[:, :2] + points[:, 2:])) + noise(8, 23 * (points[:, 1:] - points[:, :1]))
    return three(0.2, 0.42, 0.13) * (1 + 0.55 * speckle[:, None])


def tiles(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The ground: rings of tiles, light and dark in turn, around a star; grass outside of the court."""
    x, z = points[:, 0], points[:, 2]
    radius, turn = np.hypot(x, z), np.arctan2(x, z) / (2 * np.pi)
    ring = np.floor(radius / 0.8)
    around = 2 * np.maximum(np.floor(np.pi * (ring + 0.5)), 1)  # even, so that light and dark alternate all around
    along = turn * around
    dark = (ring + np.floor(along)) % 2 > 0
    joint = (np.abs(radius / 0.8 - np.round(radius / 0.8)) < 0.02) | (np.abs(along - np.round(along)) < 0.02)
    stone = np.where(dark[:, None], three(0.52, 0.36, 0.3), three(0.78, 0.72, 0.62))
    stone = stone * (1 + 0.1 * noise(11, 4 * points[:, ::2])[:, None])
    star = radius < 1.4 * (0.62 + 0.38 * np.abs(np.cos(4 * 2 * np.pi * turn)))
    stone = np.where(star[:, None], three(0.2, 0.33, 0.5), stone)
    inner = radius < 0.7 * (0.62 + 0.38 * np.abs(np.sin(4 * 2 * np.pi * turn)))
    stone = np.where(inner[:, None], three(0.85, 0.66, 0.25), stone)
    stone = np.where((radius < 0.12)[:, None], three(0.3, 0.1, 0.1), stone)
    stone = np.where(joint[:, None] & ~star[:, None], three(0.36, 0.33, 0.3), stone)
    blades = noise(13, 2.5 * points[:, ::2]) + noise(14, 0.3 * points[:, ::2])
    grass = three(0.33, 0.45, 0.16) * (1 + 0.25 * blades[:, None])
    return np.where((radius > 9.6)[:, None], grass, stone).astype(np.float32)


def sphere(x: float, y: float, z: float, radius: float, colours: Colours) -> Thing:
    middle = three(x, y, z)

    def meet(origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
        to = origins - middle
        half = (to * rays).sum(1)
        root = half**2 - (to**2).sum(1) + radius**2
        distance = -half - np.sqrt(np.maximum(root, 0))
        return np.where((root > 0) & (distance > 1e-3), distance, FAR)

    return Thing(meet, lambda points: (points - middle) / np.float32(radius), colours)


def cylinder(x: float, z: float, low: float, high: float, radius: float, colours: Colours, lid: bool = True) -> Thing:
    """An upright cylinder, with a lid on either end, or an open ring that is seen from inside, too."""
    middle = three(x, 0, z)

    def meet(origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
        to = (origins - middle)[:, ::2]
        flat = rays[:, ::2]
        a = np.maximum((flat**2).sum(1), 1e-9)
        half = (to * flat).sum(1)
        root = half**2 - a * ((to**2).sum(1) - radius**2)
        nearest = np.full(len(rays), FAR)
        for sign in (1,) if lid else (1, -1):
            distance = (-half - sign * np.sqrt(np.maximum(root, 0))) / a
            y = origins[:, 1] + distance * rays[:, 1]
            hit = (root > 0) & (distance > 1e-3) & (y >= low) & (y <= high)
            nearest = np.where(hit, np.minimum(nearest, distance), nearest)
        for level in (low, high) if lid else ():
            distance = (level - origins[:, 1]) / np.where(rays[:, 1] == 0, 1e-9, rays[:, 1])
            at = to + distance[:, None] * flat
            hit = (distance > 1e-3) & ((at**2).sum(1) < radius**2)
            nearest = np.where(hit, np.minimum(nearest, distance), nearest)
        return nearest

    def normals(points: np.ndarray) -> np.ndarray:
        side = (points - middle) * three(1, 0, 1) / np.float32(radius)
        end = np.where(points[:, 1] > (low + high) / 2, 1, -1)[:, None] * three(0, 1, 0)
        inner = ((side**2).sum(1) < 0.999) & lid
        return np.where(inner[:, None], end, side).astype(np.float32)

    return Thing(meet, normals, colours)


def ground() -> Thing:
    def meet(origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
        distance = -origins[:, 1] / np.where(rays[:, 1] == 0, 1e-9, rays[:, 1])
        return np.where((distance > 1e-3) & (rays[:, 1] < 0), distance, FAR)

    return Thing(meet, lambda points: np.broadcast_to(three(0, 1, 0), points.shape), tiles)


def court() -> list[Thing]:
    """All that stands in the court. Angles are clockwise from the picture's middle, as yaw is."""

    def place(turn: float, radius: float) -> tuple[float, float]:
        return radius * np.sin(np.radians(turn)), radius * np.cos(np.radians(turn))

    things = [ground(), cylinder(0, 0, 4.3, 4.75, 8.2, plain(0.8, 0.74, 0.64), lid=False)]
    for turn in range(15, 375, 30):
        x, z = place(turn, 8.0)
        things += [
            cylinder(x, z, 0.0, 4.3, 0.36, fluted),
            cylinder(x, z, 0.0, 0.25, 0.52, plain(0.72, 0.67, 0.58)),
            cylinder(x, z, 4.05, 4.3, 0.5, plain(0.76, 0.7, 0.6)),
        ]
    balls = [
        (0, 4.2, 0.75, striped((0.85, 0.16, 0.12), (0.95, 0.92, 0.86), 5)),
        (48, 5.6, 0.5, plain(0.95, 0.7, 0.1, 0.02)),
        (104, 4.4, 0.6, striped((0.1, 0.3, 0.7), (0.9, 0.8, 0.2), 4)),
        (180, 4.6, 0.7, striped((0.12, 0.5, 0.4), (0.95, 0.92, 0.86), 6)),
        (-128, 5.4, 0.45, plain(0.8, 0.35, 0.55, 0.02)),
        (-70, 4.0, 0.55, striped((0.95, 0.5, 0.1), (0.2, 0.15, 0.3), 3)),
    ]
    for turn, away, radius, colours in balls:
        x, z = place(turn, away)
        things.append(sphere(x, radius, z, radius, colours))
    things.append(sphere(3.0, 27.0, -1.5, 4.2, striped((0.9, 0.25, 0.15), (0.98, 0.85, 0.3), 6)))  # a balloon
    for turn in (-30, 30, 90, 142, -155, -95):
        x, z = place(turn, 6.3)
        things += [
            cylinder(x, z, 0.0, 0.7, 0.42, plain(0.66, 0.33, 0.22)),
            sphere(x, 1.25, z, 0.68, leaves),
            sphere(x + 0.25, 1.75, z - 0.1, 0.42, leaves),
        ]
    for turn in range(0, 360, 24):
        x, z = place(turn + 7 * np.sin(turn), 17 + 4 * np.cos(3 * turn))
        tall = 3.2 + 1.2 * np.sin(2 * turn)
        trunk = cylinder(x, z, 0.0, tall, 0.28, plain(0.36, 0.26, 0.18))
        things += [trunk, sphere(x, tall + 1.2, z, 2.1, leaves), sphere(x + 0.9, tall + 2.4, z + 0.5, 1.4, leaves)]
    return things


def sky(rays: np.ndarray) -> np.ndarray:
    """The colours of the sky, its clouds, its sun and the hills below: n x 3."""
    up = rays[:, 1]
    share = np.clip(up, 0, 1)[:, None] ** 0.5
    colour = (1 - share) * three(0.78, 0.86, 0.93) + share * three(0.2, 0.42, 0.76)
    flat = rays[:, ::2] / np.maximum(up, 0.04)[:, None]  # of a layer of clouds
    thick = noise(21, 1.3 * flat) + 0.6 * noise(22, 4 * flat) + 0.25 * noise(23, 13 * flat)
    cloud = np.clip(1.5 * thick - 0.25, 0, 1) * np.clip(6 * (up - 0.03), 0, 1)
    colour = colour + 0.85 * cloud[:, None] * (three(1, 0.98, 0.95) - colour)
    toward = np.clip(rays @ SUN, 0, 1)
    colour = colour + (0.35 * toward**60 + 3 * (toward > 0.9995))[:, None] * SUNLIGHT
    turn = np.arctan2(rays[:, 0], rays[:, 2])
    hills = 0.05 + 0.03 * np.sin(3 * turn + 1) + 0.02 * np.sin(7 * turn) + 0.006 * np.sin(29 * turn + 2)
    green = three(0.42, 0.5, 0.47) * (0.9 + 2 * np.maximum(up, 0))[:, None]
    return np.where((up < hills)[:, None], green, colour)


def trace(rays: np.ndarray, things: list[Thing]) -> np.ndarray:
    """The colours that rays from the eye see: n x 3, linear, 0 to 1 and above."""
    origins = np.broadcast_to(EYE, rays.shape)
    nearest, which = np.full(len(rays), FAR, np.float32), np.full(len(rays), -1)
    for number, (meet, _, _) in enumerate(things):
        distance = meet(origins, rays)
        closer = distance < nearest
        nearest[closer], which[closer] = distance[closer], number
    colours = sky(rays).astype(np.float32)
    found = which >= 0
    points = EYE + nearest[found, None] * rays[found]
    normals, own = np.empty_like(points), np.empty_like(points)
    for number, (_, normals_of, colours_of) in enumerate(things):
        if (mine := which[found] == number).any():
            normals[mine] = normals_of(points[mine])
            own[mine] = colours_of(points[mine], normals[mine])
    normals *= -np.sign((normals * rays[found]).sum(1))[:, None]  # the side that is seen
    lit = np.clip(normals @ SUN, 0, 1)
    off, to_sun = points + 2e-3 * normals, np.broadcast_to(SUN, points.shape)
    for meet, _, _ in things[1:]:  # the ground casts no shadow
        lit[meet(off, to_sun) < FAR] = 0
    open_sky = 0.65 + 0.35 * normals[:, 1]
    low = np.clip(points[:, 1] / 0.5, 0, 1) * 0.3 + 0.7  # a little darker where things meet the ground
    low = np.where(which[found] == 0, 1, low)
    light = 0.95 * lit[:, None] * SUNLIGHT + (open_sky * low)[:, None] * SKYLIGHT
    haze = (1 - np.exp(-nearest[found] / 160))[:, None]
    colours[found] = (1 - haze) * own * light + haze * three(0.62, 0.7, 0.76)
    return colours


def render() -> np.ndarray:
    """The panorama: HEIGHT x WIDTH x 3, uint8, sRGB."""
    things, strips = court(), []
    columns = (np.arange(WIDTH * SAMPLES) + 0.5) / (WIDTH * SAMPLES) * 2 * np.pi - np.pi
    rows = np.pi / 2 - (np.arange(HEIGHT * SAMPLES) + 0.5) / (HEIGHT * SAMPLES) * np.pi
    step = 16 * SAMPLES
    for start in range(0, len(rows), step):
        turn, height = np.meshgrid(columns, rows[start : start + step])
        rays = np.stack([np.cos(height) * np.sin(turn), np.sin(height), np.cos(height) * np.cos(turn)], -1)
        colours = np.clip(trace(rays.reshape(-1, 3).astype(np.float32), things), 0, 1)
        bright = np.where(colours < 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)
        strip = bright.reshape(*turn.shape, 3).astype(np.float32)
        strips.append(cv2.resize(strip, (WIDTH, len(strip) // SAMPLES), interpolation=cv2.INTER_AREA))
    return np.rint(255 * np.concatenate(strips)).astype(np.uint8)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    Image.fromarray(render()).save(path, quality=QUALITY, optimize=True, progressive=True)
    print(f"{path}: {path.stat().st_size:,} bytes")

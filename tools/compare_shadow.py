"""Compares the shadow on a backdrop with renders of a path tracer, as a table in Markdown.

`make compare-shadow` runs it; the renders take minutes, and are kept in build/shadow. No shape of the comparison was in
the fit of the model's constants. What is compared is the layer as postprocess draws it, over its backdrop, in linear
light, beside the object:

- near: the mean absolute error within a tenth of the canvas of the object; free: over all of the backdrop.
- ssim: structural similarity (Wang et al. 2004) of the pictures, with the object itself in both.
- drop shadow: the silhouette moved, blurred and made lighter as fits this one render best.
- cast: the shadow on a floor. It is another thing, and stands here for scale.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from shadow_scenes import BACKDROP, LIGHTS, UNSEEN, Scene, render, scenes

from tensorhop.services.postprocess.backdrop import GAMMA, draw_backdrop
from tensorhop.services.postprocess.center import in_place
from tensorhop.services.postprocess.shadow import draw
from tensorhop.services.postprocess.solid import Solid
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Layer

SIDE = 1024  # of the canvas; renders are smaller
CANVAS = Region(0, 0, SIDE, SIDE)
NEAR = 0.1  # of the canvas


def cutout_of(scene: Scene) -> Layer:
    """The object on the canvas."""
    alpha, colour = scene.alpha(SIDE), scene.colour(SIDE) ** (1 / GAMMA)
    pixels = np.rint(255 * np.dstack([colour, alpha])).astype(np.uint8)
    pixels[pixels[..., 3] == 0] = 0
    return Layer(pixels, CANVAS)


def modelled(scene: Scene) -> np.ndarray:
    """The light on the backdrop as postprocess has it: float32, SIDE x SIDE x 3."""
    finish = Finish(
        shadow="backdrop",
        rot=scene.rot,
        length=scene.length,
        softness=scene.radius / 2,
        opacity=scene.opacity,
        thickness=scene.thickness,
        profile=scene.profile,
    )
    layer = draw_backdrop(cutout_of(scene), Size(SIDE, SIDE), finish)
    assert layer is not None
    ground = finish.backdrop_colour
    picture = flatten(compose([layer], CANVAS), ground)[..., :3]
    return (picture.astype(np.float32) / np.array(ground, np.float32)) ** GAMMA


def cast(scene: Scene) -> np.ndarray:
    """The light that the shadow on a floor leaves: float32, SIDE x SIDE x 3."""
    solid = Solid.of(scene.alpha(SIDE), CANVAS, Size(SIDE, SIDE))
    layer = draw(solid, in_place(Size(SIDE, SIDE)), "cast", scene.rot)
    alpha = np.zeros((SIDE, SIDE), np.float32)
    if layer:
        alpha[layer.region.slices] = layer.pixels[..., 3] / 255
    return np.dstack([(1 - alpha) ** GAMMA] * 3)


def drop_shadow(scene: Scene, truth: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The best drop shadow for a render, by search: float32, the render's shape."""
    alpha = scene.alpha(len(truth))
    best, least = np.ones_like(truth), math.inf
    x, y = math.sin(math.radians(scene.rot)), -math.cos(math.radians(scene.rot))
    for distance in np.linspace(0, 0.12, 13) * len(truth):
        matrix = np.array([[1, 0, distance * x], [0, 1, distance * y]])
        moved = cv2.warpAffine(alpha, matrix, alpha.shape)
        for blur in (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.055, 0.07):
            soft = cv2.GaussianBlur(moved, (0, 0), blur * len(truth))
            missing, shade = (1 - truth[free]).mean(axis=1), soft[free]
            opacity = np.clip((missing @ shade) / (shade @ shade), 0, 1)
            found = np.dstack([1 - opacity * soft] * 3)
            if (error := float(np.square(found[free] - truth[free]).mean())) < least:
                best, least = found.astype(np.float32), error
    return best


def ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The structural similarity of pictures of 0 to 1 at every pixel, the mean of the channels."""

    def mean(picture: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(picture, (11, 11), 1.5)

    first, second = mean(one), mean(other)
    variance = mean(one * one) - first**2, mean(other * other) - second**2
    covariance = mean(one * other) - first * second
    luminance = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    return (luminance * (2 * covariance + 9e-4) / (sum(variance) + 9e-4)).mean(axis=2)


def measured(scene: Scene, truth: np.ndarray) -> Iterator[tuple[float, float, float]]:
    """Near, free and ssim of the model, of the best drop shadow and of cast."""
    side = len(truth)
    covered = cv2.resize((scene.alpha(SIDE) > 0).astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) > 0
    covered = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # the render's edge is a pixel wide
    free = ~covered
    near = free & (cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) < NEAR * side)
    small = (cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in (modelled(scene), cast(scene)))
    model, floor = small
    picture = np.where(covered[..., None], scene.colour(side), np.clip(BACKDROP * truth, 0, 1))
    for found in (model, drop_shadow(scene, truth, near), floor):
        error = np.abs(found - truth)
        alike = np.where(covered[..., None], scene.colour(side), np.clip(BACKDROP * found, 0, 1))
        yield float(error[near].mean()), float(error[free].mean()), float(ssim(picture, alike).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=UNSEEN, help="those of shadow_scenes.py")
    parser.add_argument("--lamps", type=int, default=1, help=f"lamps for each shape and profile, up to {len(LIGHTS)}")
    parser.add_argument("--side", type=int, default=128, help="of the renders, in pixels")
    parser.add_argument("--samples", type=int, default=144, help="rays for each pixel and light")
    parser.add_argument("--out", type=Path, default=Path("build/shadow"), help="where renders are kept")
    options = parser.parse_args()
    head = "near / free / ssim"
    print(f"| scene: rot, length, lamp's radius | {head} | drop shadow: {head} | cast: {head} | times nearer |")
    print("| -- | -- | -- | -- | -- |")
    rows = []
    for scene in scenes(tuple(options.shapes), options.lamps):
        row = list(measured(scene, render(scene, options.side, options.samples, options.out)))
        rows.append(row)
        print_row(scene.name, np.array(row))
    print_row("**mean**", np.mean(rows, axis=0))


def print_row(name: str, row: np.ndarray) -> None:
    cells = [f"{near:.4f} / {free:.4f} / {alike:.3f}" for near, free, alike in row]
    print(f"| {name} | {' | '.join(cells)} | {row[1, 0] / row[0, 0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()

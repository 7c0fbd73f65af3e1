"""Compares what decontaminate answers with other ways to estimate a foreground, as a table in Markdown.

`make compare-foreground` runs it. The photos are scikit-image's and scikit-learn's; see scenes.py. Errors are of 8-bit
colours, over the pixels with 0 < alpha < 1, averaged over the scenes. All methods take turns in one run; times are
medians of the processor time of all threads, by pymatting's multi-level method: the median over the scenes, and the
largest. pymatting is warmed up first, so that its compiling does not count.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from unittest import mock

import cv2
import numpy as np
import pymatting
from scenes import Scene, over, scenes

from tensorhop.services.postprocess import reduction
from tensorhop.services.postprocess.center import visible_box
from tensorhop.services.postprocess.decontaminate import estimate_foreground
from tensorhop.services.postprocess.finishing import finish
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size, size_of
from tensorhop.values.results import Mask

CLOSED_FORM_UP_TO = 512  # pixels: it takes seconds


def multi_level(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Germer et al. 2020, pymatting's."""
    return rounded(pymatting.estimate_foreground_ml(image.astype(np.float32) / np.float32(255), alpha))


def closed_form(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Levin et al. 2008, pymatting's."""
    return rounded(pymatting.estimate_foreground_cf(image / 255, alpha.astype(np.float64)))


def blur_fusion(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """M. Forte, "Approximate fast foreground colour estimation", 2021: twice, with windows of 90 and 6 pixels."""
    picture, a = image.astype(np.float32) / 255, alpha[..., None]
    front = back = picture
    for window in (90, 6):
        share = cv2.blur(alpha, (window, window))[..., None]
        front = cv2.blur(front * a, (window, window)) / (share + 1e-5)
        back = cv2.blur(back * (1 - a), (window, window)) / (1 - share + 1e-5)
        front = np.clip(front + a * (picture - a * front - (1 - a) * back), 0, 1)
    return rounded(front)


def nothing(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The photo's colours."""
    return image


def rounded(colors: np.ndarray) -> np.ndarray:
    return np.rint(colors * 255).astype(np.uint8)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "decontaminate": estimate_foreground,
    "pymatting, multi-level": multi_level,
    "pymatting, closed-form": closed_form,
    "blur fusion, twice": blur_fusion,
    "the photo's colours": nothing,
}


def errors(scene: Scene, colors: np.ndarray) -> tuple[float, float]:
    """Of the foreground's colours; and of the photo, composited again over the known background."""
    soft = (scene.alpha > 0) & (scene.alpha < 1)
    wrong = np.abs(colors[soft].astype(int) - scene.foreground[soft])
    again = over(colors, scene.background, scene.alpha)
    return float(wrong.mean()), float(np.abs(again[soft].astype(int) - scene.image[soft]).mean())


def timed(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Medians of the processor's seconds; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            taken[name].append(time.process_time() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def compare(side: int, rounds: int) -> None:
    methods = {name: run for name, run in METHODS.items() if side <= CLOSED_FORM_UP_TO or run is not closed_form}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    for scene in scenes(side):
        image = scene.image
        wrong = {name: errors(scene, run(image, scene.alpha)) for name, run in methods.items()}
        took = timed({name: partial(run, image, scene.alpha) for name, run in methods.items()}, rounds)
        for name in methods:
            found[name].append((*wrong[name], took[name] / took["pymatting, multi-level"]))
    for name, rows in found.items():
        colors, again, _ = np.mean(rows, axis=0)
        ratios = [row[2] for row in rows]
        print(
            f"| {side} | {name} | {colors:.1f} | {again:.1f} | {np.median(ratios):.2f} | {max(ratios):.2f} |",
            flush=True,
        )


def compare_finish(side: int, rounds: int) -> None:
    """All steps of postprocess on one object against pymatting's foreground alone."""
    print("\n| object | soft pixels | finish, mask of full size | finish, coarse mask |\n|---|---|---|---|")
    for scene in scenes(side):
        box = visible_box(scene.alpha)
        alpha, image = scene.alpha[box.slices], np.ascontiguousarray(scene.image[box.slices])
        soft = float(((alpha > 0) & (alpha < 1)).mean())
        small = cv2.resize(alpha, (320, 320), interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(small, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        size = size_of(alpha)
        masks = [Mask(np.rint(each * 255).astype(np.uint8), Region.of(size)) for each in (alpha, coarse)]
        full, coarsely = (partial(finish, image, mask, size, Finish()) for mask in masks)
        took = timed(
            {"pymatting": partial(multi_level, image, alpha), "full": full, "coarse": coarsely},
            rounds,
        )
        ratios = [f"{took[name] / took['pymatting']:.2f}" for name in ("full", "coarse")]
        print(f"| {scene.name}, {size.width} x {size.height} | {soft:.0%} | {' | '.join(ratios)} |", flush=True)


def compare_reduction(side: int, canvas: int, kept: float) -> None:
    """Cut-outs that are brought down before they are decontaminated, against those that are finished at full size.

    Errors are of 8-bit colours over the cut-out's soft pixels, on black and on white: against the known foreground,
    finished in the same way.
    """
    options = Finish(canvas=Size(canvas, canvas), shadow="none")
    print(f"\n| scenes of {side}, canvas of {canvas} | at full size | brought down | ratio |\n|---|---|---|---|")
    ratios = []
    for scene in scenes(side):
        size, alpha = size_of(scene.alpha), np.rint(scene.alpha * 255).astype(np.uint8)
        found = []
        for pixels in (math.inf, kept):
            with mock.patch.object(reduction, "KEPT", pixels):
                cutout = finish(scene.image, Mask(alpha, Region.of(size)), size, options)
                known_colors = replace(options, decontaminate=False)
                truth = finish(scene.foreground, Mask(alpha, Region.of(size)), size, known_colors).cutout
            whole = truth.region.union(cutout.cutout.region)
            mine, known = compose([cutout.cutout], whole), compose([truth], whole)
            soft = (known[..., 3] > 0) & (known[..., 3] < 255)
            wrong = [flatten(mine, on)[soft].astype(int) - flatten(known, on)[soft] for on in ((0,) * 3, (255,) * 3)]
            found.append(float(np.abs(wrong)[..., :3].mean()))
        ratios.append(found[1] / found[0])
        print(f"| {scene.name} | {found[0]:.2f} | {found[1]:.2f} | {ratios[-1]:.2f} |", flush=True)
    print(f"| **mean of ratios** |  |  | {np.mean(ratios):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048], help="longer sides of the scenes")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    options = parser.parse_args()
    multi_level(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32))
    print("| side | method | error | composited again | time | at most |\n|---|---|---|---|---|---|")
    for side in options.sides:
        compare(side, options.rounds)
    compare_finish(1024, options.rounds)
    for canvas in (512, 256, 128):
        compare_reduction(2048, canvas, reduction.KEPT)


if __name__ == "__main__":
    main()

"""Compares masks before and after refine with the alpha of known composites, as a table in Markdown.

`make compare-refinement` runs it. The photos are scikit-image's and scikit-learn's; see scenes.py. The masks are the
true alpha as a network's 320 x 320 pixels would show it at best (averaged, blurred, enlarged), what U2-Net-p answers
for the composite, enlarged, and what the embedded segmenter answers. SAD is the sum of absolute differences in
thousands, MSE the mean squared error in thousandths, Grad the squared difference of the gradients, smoothed by
1.4 pixels, in hundreds: after Rhemann et al. 2009.
"""

import argparse

import cv2
import numpy as np
from scenes import Scene, scenes

from tensorhop.services.embedded.edge_alignment import align_edges as guided
from tensorhop.services.embedded.saliency import Saliency
from tensorhop.services.postprocess.center import visible_box
from tensorhop.services.postprocess.refine import refine_edges
from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.values.geometry import Box

NETWORK = 320


def at_best(alpha: np.ndarray) -> np.ndarray:
    """The true alpha at the network's size, a little blurred, enlarged."""
    small = cv2.GaussianBlur(cv2.resize(alpha, (NETWORK, NETWORK), interpolation=cv2.INTER_AREA), (0, 0), 1)
    return cv2.resize(small, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)


def u2net(scene: Scene) -> np.ndarray:
    """What the network says of the composite, with the segmenter's levels."""
    return np.clip((SALIENCY.predict(scene.image) - 0.1) / 0.8, 0, 1)


def segmented(scene: Scene) -> np.ndarray:
    """What the embedded segmenter says of the object's box."""
    (mask,) = SEGMENTER.predict([scene.image], [Box(*visible_box(scene.alpha))])
    alpha = np.zeros_like(scene.alpha)
    alpha[mask.region.slices] = mask.alpha.astype(np.float32) / 255
    return alpha


def errors(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """SAD, MSE, Grad."""
    difference = alpha - truth
    slopes = slope(alpha) - slope(truth)
    sad, grad = np.abs(difference).sum() / 1e3, (slopes**2).sum() / 1e2
    return np.array([sad, (difference**2).mean() * 1e3, grad])


def slope(alpha: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(alpha, (0, 0), 1.4)
    return np.hypot(*(cv2.Sobel(smooth, cv2.CV_32F, x, y, scale=1 / 8) for x, y in ((1, 0), (0, 1))))


def compare(side: int) -> None:
    grain = side / NETWORK
    sources = {
        "the truth at 320": lambda scene: at_best(scene.alpha),
        "U2-Net-p": u2net,
        "embedded segmenter": segmented,
    }
    for source, mask_of in sources.items():
        ratios = []
        for scene in scenes(side):
            mask = mask_of(scene)
            before = errors(mask, scene.alpha)
            filtered = errors(guided(mask, scene.image, grain), scene.alpha)
            after = errors(refine_edges(scene.image, mask), scene.alpha)
            ratios.append((filtered / before, after / before))
            cells = [
                f"{was:.1f} / {then:.1f} / {now:.1f}" for was, then, now in zip(before, filtered, after, strict=True)
            ]
            print(f"| {side} | {source} | {scene.name} | {' | '.join(cells)} |", flush=True)
        means = [f"1 / {then:.2f} / {now:.2f}" for then, now in np.mean(ratios, axis=0).T]
        print(f"| {side} | {source} | **mean of ratios** | {' | '.join(means)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024], help="longer sides of the scenes")
    print("| side | mask | scene | SAD: mask / guided / refine_edges | MSE | Grad |\n|---|---|---|---|---|---|")
    for side in parser.parse_args().sides:
        compare(side)


if __name__ == "__main__":
    SALIENCY, SEGMENTER = Saliency(), EmbeddedSegmenter()
    main()

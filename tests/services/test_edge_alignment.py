"""A coarse mask follows the photo's edges, and the texture of the ground does not show in it."""

import cv2
import numpy as np
import pytest

from tensorhop.services.embedded.edge_alignment import align_edges
from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, size_of

SIDE, NETWORK = 640, 320
CUP = Box(77, 18, 480, 390)


def raggedness(alpha: np.ndarray) -> float:
    """The total variation of a mask over that of its copy blurred by 2 pixels; 1 for a smooth outline.

    Args:
        alpha: height x width, float32, 0 to 1.
    """
    return variation(alpha) / variation(cv2.GaussianBlur(alpha, (0, 0), 2))


def variation(alpha: np.ndarray) -> float:
    return float(np.abs(np.diff(alpha, axis=0)).sum() + np.abs(np.diff(alpha, axis=1)).sum())


def haze(alpha: np.ndarray, distance: float = 2) -> float:
    """The sum of alpha farther than a distance from what is opaque, over the length of the outline; both in pixels.

    Args:
        alpha: height x width, float32, 0 to 1.
    """
    opaque = (alpha >= 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(opaque, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    far = cv2.distanceTransform(1 - opaque, cv2.DIST_L2, cv2.DIST_MASK_5) > distance
    return float(alpha[far].sum() / sum(cv2.arcLength(each, True) for each in outlines))


def grain(low: float, high: float, seed: int) -> np.ndarray:
    """Wood grain, drawn: height x width x 3, float32, 0 to 255."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE)), (0, 0), 6, sigmaY=0.7)
    noise = np.clip(0.5 + noise / (4 * noise.std()), 0, 1)[..., None]
    return (np.array((low, 0.6 * low, 0.3 * low)) + noise * (high - low) * np.array((1, 0.7, 0.4))).astype(np.float32)


def over(alpha: np.ndarray, colour: tuple[int, int, int], ground: np.ndarray) -> np.ndarray:
    return np.rint(ground + alpha[..., None] * (np.array(colour, np.float32) - ground)).astype(np.uint8)


def disc() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), SIDE // 3, 255, -1, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def coarse(alpha: np.ndarray) -> np.ndarray:
    """A mask as a network shows it that is sure of the object, and whose output is 320 x 320."""
    small = cv2.GaussianBlur(cv2.resize(alpha, (NETWORK, NETWORK), interpolation=cv2.INTER_AREA), (0, 0), 0.6)
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("seed", range(3))
def test_the_grain_of_the_ground_does_not_show_beside_a_sharp_edge(seed: int) -> None:
    truth, mask = disc(), coarse(disc())
    aligned = align_edges(mask, over(truth, (170, 60, 30), grain(40, 220, seed)), SIDE / NETWORK)
    assert aligned.dtype == np.float32
    assert haze(aligned) < 0.03
    assert np.abs(aligned - truth).sum() < 0.3 * np.abs(mask - truth).sum()


def test_the_colours_take_nothing_from_what_the_mask_is_sure_of() -> None:
    mask = coarse(disc())
    aligned = align_edges(mask, over(disc(), (170, 60, 30), grain(40, 220, 0)), SIDE / NETWORK)
    assert (aligned >= mask)[mask >= 0.98].all()


def test_hairs_stay_where_the_mask_is_soft() -> None:
    """A network shows hairs as soft, faint streaks."""
    hairs = np.zeros((SIDE, SIDE), np.uint8)
    for y in range(200, 440, 24):
        cv2.line(hairs, (SIDE // 2, y), (620, y + 10), 255, 1, cv2.LINE_AA)
    truth = np.maximum(disc(), hairs / np.float32(255))
    streaks = cv2.GaussianBlur(hairs / np.float32(255), (0, 0), 5)
    mask = np.maximum(coarse(disc()), 0.4 * streaks / streaks.max())
    aligned = align_edges(mask, over(truth, (240, 240, 240), grain(20, 90, 0)), SIDE / NETWORK)
    hair = (hairs > 200) & (cv2.dilate(disc(), np.ones((25, 25))) == 0)
    assert aligned[hair].mean() > mask[hair].mean()
    assert aligned[hair].mean() > 2.5 * aligned[np.roll(hair, 8, axis=0)].mean()


def test_the_saucer_has_a_clean_edge_in_the_finished_cut_out(coffee: np.ndarray) -> None:
    (mask,) = EmbeddedSegmenter().predict([coffee], [CUP])
    crop = np.ascontiguousarray(coffee[mask.region.slices])
    layer = finish(crop, mask, size_of(coffee), Finish(shadow="none")).cutout
    alpha = np.zeros((1024, 1024), np.float32)
    alpha[layer.region.slices] = layer.pixels[..., 3] / np.float32(255)
    assert raggedness(alpha) < 1.05
    assert haze(alpha) < 0.08

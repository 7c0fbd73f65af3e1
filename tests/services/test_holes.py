"""The hole of a ring on a plain ground is empty; prints on an object are not holes."""

import cv2
import numpy as np
import pytest

from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.services.segment.holes import find_holes
from tensorhop.values.geometry import Box

SIDE, MIDDLE = 400, (200, 200)
WHITE, RED, BLACK = (255, 255, 255), (190, 40, 40), (20, 20, 20)
PAIRS = ((RED, (240, 240, 235)), (WHITE, BLACK), ((120, 120, 40), (90, 160, 90)))


def on(ground: tuple[int, int, int], noise: float = 0, slope: float = 0) -> np.ndarray:
    """A plain ground: height x width x 3, float32, 0 to 255."""
    picture = np.full((SIDE, SIDE, 3), ground, np.float32)
    picture += slope * np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None, None]
    return picture + np.random.default_rng(0).normal(0, noise, picture.shape).astype(np.float32)


def disc(radius: int, middle: tuple[int, int] = MIDDLE) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, middle, radius, 1, -1)
    return mask.view(bool)


def holes(picture: np.ndarray, core: np.ndarray) -> np.ndarray:
    """The holes of an object that a network has filled."""
    rounded = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return find_holes(core, core.astype(np.float32), rounded)


@pytest.mark.parametrize("hole", [50, 90, 130])
@pytest.mark.parametrize(
    ("colour", "ground"), [(RED, (240, 240, 235)), (WHITE, BLACK), ((120, 120, 40), (90, 160, 90))]
)
@pytest.mark.parametrize(("noise", "slope"), [(0, 0), (3, 0), (1, 10)])
def test_the_ground_shows_through_a_ring(
    hole: int, colour: tuple[int, int, int], ground: tuple[int, int, int], noise: float, slope: float
) -> None:
    picture = on(ground, noise, slope)
    picture[disc(150) & ~disc(hole)] = colour
    found = holes(picture, disc(150))
    assert found.dtype == np.float32
    assert found[disc(hole - 4)].min() > 0.95
    assert found[~disc(hole + 6)].max() < 0.01


def test_a_print_is_not_a_hole() -> None:
    shirt = on(WHITE)
    shirt[disc(150)] = RED
    label = shirt.copy()
    label[disc(70)] = (250, 250, 250)
    clock = shirt.copy()
    clock[disc(120)] = WHITE
    cv2.line(clock, MIDDLE, (260, 170), BLACK, 6)
    letters = np.zeros((SIDE, SIDE), np.uint8)
    cv2.putText(letters, "OB", (120, 240), cv2.FONT_HERSHEY_SIMPLEX, 4, 255, 14)
    text = shirt.copy()
    text[letters > 0] = WHITE
    shaded = shirt.copy()
    shaded[disc(70)] = (on(WHITE) - np.linspace(0, 12, SIDE, dtype=np.float32)[:, None, None])[disc(70)]
    dotted = shirt.copy()
    for middle in ((130, 200), (270, 200), (200, 120), (200, 280)):
        dotted[disc(45, middle)] = WHITE
    for name, picture in {
        "plain": shirt, "label": label, "clock": clock, "text": text, "shaded": shaded, "dotted": dotted
    }.items():  # fmt: skip
        assert not holes(picture, disc(150)).any(), name


def test_a_ground_that_is_not_plain_shows_no_holes() -> None:
    picture = on((128, 128, 128), 30)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    picture[:, :200] += 40
    picture[disc(150) & ~disc(90)] = RED
    assert not holes(picture, disc(150)).any()
    everywhere = np.ones((SIDE, SIDE), bool)
    assert not holes(on(WHITE), everywhere).any(), "no ground"


@pytest.mark.parametrize(("radius", "thickness"), [(100, 20), (150, 40), (120, 60)])
def test_the_segmenter_leaves_a_rings_hole_empty(radius: int, thickness: int) -> None:
    ring, photo = np.zeros((512, 512), np.uint8), np.full((512, 512, 3), 225, np.uint8)
    cv2.circle(ring, (256, 256), radius, 255, thickness, cv2.LINE_AA)
    cv2.circle(photo, (256, 256), radius, (40, 90, 170), thickness, cv2.LINE_AA)
    reach = radius + thickness / 2 + 6
    (mask,) = EmbeddedSegmenter().predict([photo], [Box(256 - reach, 256 - reach, 256 + reach, 256 + reach)])
    alpha = np.zeros((512, 512), np.float32)
    alpha[mask.region.slices] = mask.alpha / np.float32(255)
    distance = np.hypot(*(np.indices(alpha.shape) - 256))
    assert alpha[distance < radius - thickness / 2].mean() < 0.05
    assert alpha[ring == 255].mean() > 0.98

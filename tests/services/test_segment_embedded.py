"""The embedded segmenter keeps what is in the box, and nothing where nothing is."""

import numpy as np
import pytest

from tensorhop.services.segment.embedded import EmbeddedSegmenter, is_unsure
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Mask

CUP = Box(77, 18, 480, 390)


@pytest.fixture(scope="module")
def segmenter() -> EmbeddedSegmenter:
    return EmbeddedSegmenter()


@pytest.fixture(scope="module")
def cup(segmenter: EmbeddedSegmenter, coffee: np.ndarray) -> Mask:
    return segmenter.predict([coffee], [CUP])[0]


def whole(mask: Mask, photo: np.ndarray) -> np.ndarray:
    """The mask at the photo's size, 0 to 1."""
    assert mask.alpha.dtype == np.uint8
    assert mask.region.intersect(Region.of(size_of(photo))) == mask.region
    assert size_of(mask.alpha) == mask.region.size
    result = np.zeros(photo.shape[:2], np.float32)
    result[mask.region.slices] = mask.alpha / 255
    return result


def test_the_cup_is_kept_and_the_table_is_not(cup: Mask, coffee: np.ndarray) -> None:
    alpha = whole(cup, coffee)
    assert alpha[150:250, 200:350].mean() > 0.98
    assert alpha[:, :50].max() == 0
    assert alpha[:, 520:].max() == 0
    assert 0 < np.mean((alpha > 0.05) & (alpha < 0.95)) < 0.1, "edges are soft, and nothing else is"


@pytest.mark.parametrize(
    ("soft", "salient", "unsure"), [(0, 500, False), (20, 500, False), (200, 500, True), (0, 0, True), (200, 0, True)]
)
def test_a_view_is_unsure_of_much_that_is_soft_and_where_nothing_is_salient(
    soft: int, salient: int, unsure: bool
) -> None:
    saliency = np.zeros(1000, np.float32)
    saliency[:soft], saliency[soft : soft + salient] = 0.3, 1
    assert is_unsure(saliency.reshape(20, 50)) is unsure


class Counted:
    """A saliency network that answers the same for every view."""

    def __init__(self, level: float) -> None:
        self.level, self.views = level, 0

    def predict_small(self, image: np.ndarray) -> np.ndarray:
        self.views += 1
        look = np.zeros((320, 320), np.float32)
        look[80:240, 80:240] = self.level
        return look


@pytest.mark.parametrize(("level", "box", "views"), [(1.0, CUP, 1), (0.6, CUP, 2), (0.6, Box(0, 0, 600, 400), 1)])
def test_the_second_view_is_for_what_the_first_is_unsure_of(
    level: float, box: Box, views: int, coffee: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = EmbeddedSegmenter()
    network = Counted(level)
    monkeypatch.setattr(segmenter, "_saliency", network)
    segmenter.predict([coffee], [box])
    assert network.views == views


def test_the_mask_is_trimmed(cup: Mask) -> None:
    for edge in (cup.alpha[0], cup.alpha[-1], cup.alpha[:, 0], cup.alpha[:, -1]):
        assert edge.any()


def test_the_neighbour_is_left_out(segmenter: EmbeddedSegmenter, coffee: np.ndarray) -> None:
    photo = np.full((300, 760, 3), 235, np.uint8)
    piece = coffee[:300, 70:430]
    photo[:, 10:370] = photo[:, 390:750] = piece
    (mask,) = segmenter.predict([photo], [Box(15, 10, 365, 300)])
    alpha = whole(mask, photo)
    assert alpha[100:200, 130:280].mean() > 0.95
    assert alpha[:, 395:].max() == 0


@pytest.mark.parametrize("kind", ["black", "sky"])
def test_where_nothing_is_the_mask_is_empty(segmenter: EmbeddedSegmenter, kind: str) -> None:
    photo = np.full((240, 320, 3), 0 if kind == "black" else 150, np.uint8)
    if kind == "sky":
        photo[:] = np.linspace((90, 140, 210), (200, 220, 240), 240).astype(np.uint8)[:, None]
    (mask,) = segmenter.predict([photo], [Box(60, 50, 220, 180)])
    assert mask.alpha.shape == (0, 0)
    assert mask.region.empty
    assert mask.region.intersect(Region.of(size_of(photo))) == mask.region


def test_an_empty_corner_of_a_real_photo_is_empty(segmenter: EmbeddedSegmenter, coffee: np.ndarray) -> None:
    (mask,) = segmenter.predict([coffee], [Box(5, 5, 60, 60)])
    assert mask.alpha.shape == (0, 0)


def test_a_box_over_the_edge_and_one_below_a_pixel(segmenter: EmbeddedSegmenter, cat: np.ndarray) -> None:
    height, width = cat.shape[:2]
    over, tiny = segmenter.predict(
        [cat, cat], [Box(-50, -50, width + 50, height + 50), Box(100.2, 100.2, 100.6, 100.6)]
    )
    assert whole(over, cat).mean() > 0.3
    whole(tiny, cat)


def test_the_same_call_gives_the_same_answer(segmenter: EmbeddedSegmenter, coffee: np.ndarray, cup: Mask) -> None:
    view = coffee.copy()
    view.flags.writeable = False
    first, (second,) = cup, segmenter.predict([view], [CUP])
    assert first.region == second.region
    assert np.array_equal(first.alpha, second.alpha)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_sizes(segmenter: EmbeddedSegmenter, shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 77, np.uint8)
    whole(segmenter.predict([photo], [Box(0, 0, shape[1], shape[0])])[0], photo)

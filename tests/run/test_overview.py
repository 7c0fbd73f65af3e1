"""The overview picture: tints, boxes and labels, on a copy."""

import numpy as np
import pytest

from tensorhop.orchestrator.run.overview import COLOURS, TINT, colour_of, draw_overview
from tensorhop.values.geometry import Box, Region
from tensorhop.values.results import Detection, Mask


def photo(width=400, height=300):
    return np.full((height, width, 3), 100, np.uint8)


def detection(index, box, label="cat"):
    return Detection(index, label, 0, 0.5, Box(*box))


def has(picture, colour):
    return (picture == colour).all(-1)


def letters(picture):
    """White text, its soft edges left out; no colour is as light."""
    return picture.min(-1) > 180


def test_the_photo_itself_stays():
    original = photo()
    mask = Mask(np.full((9, 9), 255, np.uint8), Region(0, 0, 9, 9))
    picture = draw_overview(original, [detection(0, (50, 50, 200, 200))], {0: mask})
    assert (original == 100).all()
    assert picture.shape == original.shape
    assert picture.dtype == np.uint8
    assert (picture != 100).any()


def test_nothing_found_draws_nothing():
    assert (draw_overview(photo(), [], {}) == 100).all()


def test_a_box_has_its_outline_and_its_label_and_leaves_the_rest():
    picture = draw_overview(photo(), [detection(1, (50, 80, 200, 220))], {})
    coloured = has(picture, colour_of(1))
    assert coloured[80, 50:200].all()
    assert coloured[80:220, 50].all()
    assert coloured[81:219, 199:201].any(axis=1).all(), "right edge"
    assert coloured[219:221, 51:199].any(axis=0).all(), "bottom edge"
    assert (picture[84:216, 54:196] == 100).all(), "inside"
    rows, columns = np.nonzero(letters(picture))
    assert rows.size > 20, "the label can be read"
    assert rows.max() < 80, "above the box"
    assert columns.min() >= 50
    assert (picture[225:] == 100).all()


@pytest.mark.parametrize("box", [(300, 0, 400, 120), (380, 290, 400, 300), (0, 0, 400, 300), (0.2, 0.3, 0.9, 0.8)])
def test_the_label_stays_in_the_picture(box):
    picture = draw_overview(photo(), [detection(0, box)], {})
    whole = letters(draw_overview(photo(), [detection(0, (100, 100, 300, 200))], {})).sum()
    assert letters(picture).sum() == pytest.approx(whole, rel=0.2), "no letter is cut off"


def test_the_best_lies_on_top():
    box = (50, 80, 200, 220)
    picture = draw_overview(photo(), [detection(0, box), detection(1, box)], {})
    assert has(picture, colour_of(0))[80, 50:200].all()
    assert not has(picture, colour_of(1)).any()


@pytest.mark.parametrize("alpha", [np.uint8([[0, 255], [128, 255]]), np.float32([[0, 1], [128 / 255, 1]])])
def test_a_mask_tints_its_region_by_its_weight(alpha):
    picture = draw_overview(photo(), [], {2: Mask(alpha, Region(10, 20, 12, 22))}).astype(float)
    for y, x, weight in ((20, 10, 0), (20, 11, 1), (21, 10, 128 / 255), (21, 11, 1)):
        expected = 100 + (np.array(colour_of(2)) - 100) * TINT * weight
        assert np.abs(picture[y, x] - expected).max() <= 1
    picture[20:22, 10:12] = 100
    assert (picture == 100).all(), "outside of the region"


def test_an_empty_mask_is_no_trouble():
    assert (draw_overview(photo(), [], {0: Mask(np.zeros((0, 0), np.uint8), Region(0, 0, 0, 0))}) == 100).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_photos(size):
    box = (0, 0, *size)
    assert draw_overview(photo(*size), [detection(0, box)], {}).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("label", ["", "x" * 200, "two\nlines", "钥匙 🐈", "\0"])
def test_any_label(label):
    assert (draw_overview(photo(), [detection(0, (50, 80, 200, 220), label)], {}) != 100).any()


def test_colours_differ_and_repeat():
    assert len(set(COLOURS)) == len(COLOURS)
    assert colour_of(len(COLOURS)) == colour_of(0)


def test_the_overview_of_a_large_photo_is_smaller():
    """Two million pixels at most, with everything in its place."""
    large = np.full((3000, 4000, 3), 100, np.uint8)
    mask = Mask(np.full((1000, 1000), 255, np.uint8), Region(1000, 500, 2000, 1500))
    picture = draw_overview(large, [detection(0, (1000, 500, 2000, 1500))], {0: mask})
    height, width = picture.shape[:2]
    assert 1_900_000 < height * width <= 2_000_000
    assert width / height == pytest.approx(4 / 3, rel=0.01)
    scale = width / 4000
    rows, columns = np.nonzero((picture != 100).any(-1))
    assert columns.min() == pytest.approx(1000 * scale, abs=3)
    assert columns.max() == pytest.approx(2000 * scale, abs=3)
    assert rows.max() == pytest.approx(1500 * scale, abs=3)
    corner = Mask(np.ones((1, 1), np.float32), Region(3999, 2999, 4000, 3000))
    for odd in (Mask(np.zeros((0, 0), np.uint8), Region(0, 0, 0, 0)), corner):
        assert draw_overview(large, [], {0: odd}).shape == picture.shape

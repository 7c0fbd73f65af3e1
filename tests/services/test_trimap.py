"""The trimap of a mask, and the mattes that a network makes of it."""

import numpy as np
import pytest

from tensorhop.services.postprocess.refiners.trimap import brought_down, make_trimap, refine_by
from tensorhop.values.geometry import Size


def disc(side: int, ramp: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    return np.clip((side / 3 - np.hypot(x, y)) / ramp + 0.5, 0, 1).astype(np.float32)


def band(trimap: np.ndarray) -> int:
    """How wide the unknown band is along the middle row, at the left edge of the object."""
    row = trimap[len(trimap) // 2]
    return int(np.count_nonzero(row[: row.size // 2] == 0.5))


def test_the_unknown_band_is_wider_where_the_mask_is_soft() -> None:
    sharp, soft = (make_trimap(disc(300, ramp)) for ramp in (1, 20))
    assert set(np.unique(sharp)) == {0, 0.5, 1}
    assert sharp.dtype == np.float32
    assert 6 <= band(sharp) <= 12, "3 pixels on both sides of the edge"
    assert 40 <= band(soft) <= 70, "the edge, and its width on both sides"
    assert sharp[150, 150] == soft[150, 150] == 1
    assert sharp[0, 0] == soft[0, 0] == 0


def test_only_the_unknown_band_is_the_networks() -> None:
    alpha, seen = disc(200, 8), []
    refined = refine_by(lambda picture: seen.append(picture) or picture[0], Size(200, 200), grey(200, 51), alpha)
    (picture,) = seen
    assert picture.shape == (4, 200, 200)
    np.testing.assert_allclose(picture[:3], 0.2, atol=1e-6)
    trimap = make_trimap(alpha)
    np.testing.assert_array_equal(picture[3], trimap)
    np.testing.assert_allclose(refined, np.where(trimap == 0.5, 0.2, trimap), atol=1e-6)


@pytest.mark.parametrize("alpha", [np.zeros((50, 40), np.float32), np.ones((50, 40), np.float32), disc(9, 1)])
def test_a_mask_without_anything_to_ask_stays_as_it_is(alpha: np.ndarray) -> None:
    def never(_: np.ndarray) -> np.ndarray:
        raise AssertionError

    height, width = alpha.shape
    assert refine_by(never, Size(width, height), np.zeros((height, width, 3), np.uint8), alpha) is alpha


def test_a_network_of_another_size_answers_at_the_masks() -> None:
    refined = refine_by(lambda picture: picture[3], Size(64, 32), grey(200, 51), disc(200, 8))
    assert refined.shape == (200, 200)
    assert 0 <= refined.min() < refined.max() <= 1


def test_large_pieces_are_brought_down() -> None:
    assert brought_down(Size(4000, 1000)) == Size(1024, 256)
    assert brought_down(Size(1024, 3)) == Size(1024, 3)


def grey(side: int, value: int) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)

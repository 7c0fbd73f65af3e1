"""Pictures made tile by tile: every pixel once, weights that add up to one, and no jump where tiles meet."""

import numpy as np
import pytest

from tensorhop.services.upscale.tiles import blend_tiles

SIZES = [(1, 1), (64, 64), (64, 200), (65, 130), (200, 64), (201, 333), (97, 128)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiles_of_a_picture_are_the_picture(height: int, width: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    seen = []

    def make(rows: slice, columns: slice) -> np.ndarray:
        tile = picture[rows, columns].astype(np.float32)
        seen.append(tile.shape)
        return tile

    assert np.array_equal(blend_tiles(height, width, 64, 16, make), picture)
    assert {*seen} == {(min(64, height), min(64, width), 3)}, "the networks see one size"


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_tiles_do_differently_is_blended(height: int, width: int) -> None:
    """Each tile has a level of its own, 100 or 150: no step is larger than a ramp's, and the levels are kept."""
    count = iter(range(100))

    def make(rows: slice, columns: slice) -> np.ndarray:
        level = 100 + 50 * (next(count) % 2)
        return np.full((rows.stop - rows.start, columns.stop - columns.start, 3), level, np.float32)

    found = blend_tiles(height, width, 64, 16, make).astype(int)
    assert found.min() >= 100
    assert found.max() <= 150
    for axis in (0, 1):
        assert np.abs(np.diff(found, axis=axis)).max(initial=0) <= 50 / 16 + 1


def test_values_outside_of_the_range_are_cut() -> None:
    high = blend_tiles(8, 8, 64, 16, lambda rows, columns: np.full((8, 8, 3), 300, np.float32))
    low = blend_tiles(8, 8, 64, 16, lambda rows, columns: np.full((8, 8, 3), -9, np.float32))
    assert high.min() == 255
    assert low.max() == 0

"""An object that the photo's upper edge cuts: its shadow is one piece, also where the photo is brought down."""

import cv2
import numpy as np
import pytest

from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.postprocess.shadow import draw
from tensorhop.services.postprocess.solid import Solid, rounded_cap
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Mask, Placement

SIDE = 240


def two_pieces() -> np.ndarray:
    """A post, and beside it what hangs into the photo from above: alpha, uint8, a square photo."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[:200, 60:110] = alpha[:70, 150:200] = 255
    return alpha


def pieces(shadow: np.ndarray) -> int:
    """How many pieces a shadow's alpha has above a tenth of its largest value."""
    return cv2.connectedComponents((shadow > 0.1 * shadow.max()).astype(np.uint8))[0] - 1


def shadow_of(alpha: np.ndarray, rot: float) -> np.ndarray:
    solid = Solid.of(alpha.astype(np.float32) / 255, Region(0, 0, SIDE, SIDE), Size(SIDE, SIDE))
    layer = draw(solid, Placement(Size(3 * SIDE, 3 * SIDE), 1.0, SIDE, SIDE), "cast", rot)
    assert layer is not None
    return layer.pixels[..., 3]


@pytest.mark.parametrize("rot", range(0, 360, 30))
def test_the_shadow_is_one_piece_at_every_bearing(rot: int) -> None:
    assert pieces(shadow_of(two_pieces(), rot)) == 1


def test_what_is_whole_gets_no_cap() -> None:
    below = np.zeros((50, 50), bool)
    below[1:40, 10:30] = True
    assert rounded_cap(below).shape == (0, 50)


def test_runs_of_one_piece_get_an_end_each() -> None:
    fork = np.zeros((60, 60), bool)
    fork[:, 10:20] = fork[:, 40:50] = fork[40:, 10:50] = True
    cap = rounded_cap(fork)
    assert len(cap) == 5
    assert cap[-1, 12:18].all()
    assert not cap[:, 20:40].any()


@pytest.mark.parametrize("cut", [False, True])
def test_a_photo_brought_down_keeps_its_upper_cut(cut: bool) -> None:
    """The shadow is that of the same picture at a quarter of the size."""
    small = two_pieces() if cut else np.roll(two_pieces(), 20, axis=0)
    options = Finish(canvas=Size(160, 160), refine=False, decontaminate=False)
    found = []
    for scale in (1, 6):
        alpha = small.repeat(scale, axis=0).repeat(scale, axis=1)
        size = Size(SIDE * scale, SIDE * scale)
        photo = np.full((*alpha.shape, 3), 90, np.uint8)
        cutout = finish(photo, Mask(alpha, Region.of(size)), size, options)
        assert cutout.shadow is not None
        whole = np.zeros((160, 160), np.float32)
        whole[cutout.shadow.region.slices] = cutout.shadow.pixels[..., 3]
        found.append(whole)
    assert np.abs(found[0] - found[1]).mean() < 1

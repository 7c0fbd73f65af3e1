"""Large objects on small canvases: what bringing them down first may change, and what it may not."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorhop.services.postprocess import reduction
from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.postprocess.reduction import whole_blocks
from tensorhop.values.compositing import compose
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Cutout, Mask

HEIGHT, WIDTH = 801, 1003
CANVAS = Size(150, 150)
RED, GREEN = (200, 40, 30), (30, 190, 60)


def disc(kind: str, middle: tuple[int, int] = (480, 390)) -> np.ndarray:
    """Alpha with a sharp edge, a soft one, or that of a mask that was enlarged."""
    alpha = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), middle, 330, 255, -1, cv2.LINE_AA)
    if kind == "soft":
        return cv2.GaussianBlur(alpha, (0, 0), 4)
    if kind == "coarse":
        return cv2.resize(cv2.resize(alpha, (33, 27), interpolation=cv2.INTER_AREA), (WIDTH, HEIGHT))
    return alpha


def finished(alpha: np.ndarray, **options: object) -> Cutout:
    """A red object on green."""
    part = alpha[..., None] / 255
    photo = np.rint(part * RED + (1 - part) * GREEN).astype(np.uint8)
    size = Size(WIDTH, HEIGHT)
    return finish(photo, Mask(alpha, Region.of(size)), size, Finish(**{"canvas": CANVAS, **options}))


def at_full_size(alpha: np.ndarray, monkeypatch: pytest.MonkeyPatch, **options: object) -> Cutout:
    with monkeypatch.context() as patched:
        patched.setattr(reduction, "KEPT", float("inf"))
        return finished(alpha, **options)


@pytest.mark.parametrize("shadow", ["none", "cast"])
@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("kind", ["sharp", "soft", "coarse"])
def test_it_looks_as_if_it_had_been_finished_at_full_size(
    kind: str, refine: bool, shadow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha = disc(kind)
    small = finished(alpha, refine=refine, shadow=shadow)
    large = at_full_size(alpha, monkeypatch, refine=refine, shadow=shadow)
    assert small.placement.canvas == large.placement.canvas
    assert small.placement.scale == pytest.approx(large.placement.scale, rel=0.01)
    pictures = [compose([one.shadow or one.cutout, one.cutout], Region.of(CANVAS)) for one in (small, large)]
    shown = [np.dstack([one[..., :3] * (one[..., 3:] / 255), one[..., 3]]) for one in pictures]
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]  # the middle may be rounded to another pixel
    assert min(np.abs(np.roll(shown[0], shift, (0, 1)) - shown[1]).mean() for shift in shifts) < 1


@pytest.mark.parametrize("kind", ["sharp", "soft", "coarse"])
def test_no_background_comes_into_the_edges(kind: str) -> None:
    pixels = finished(disc(kind), shadow="none").cutout.pixels
    seen = pixels[..., 3] > 25
    assert np.abs(pixels[seen][:, :3].astype(int) - RED).max() <= 12


@pytest.mark.parametrize("middle", [(480, 390), (30, 390), (980, 390), (480, 10), (480, 790)], ids=str)
def test_it_is_placed_as_the_placement_says(middle: tuple[int, int]) -> None:
    """Also where the photo's edges cut the object, and leave no room for whole blocks."""
    alpha = disc("sharp", middle)
    cutout = finished(alpha, shadow="none")
    rows, columns = np.nonzero(alpha > 127)
    scale, x, y = cutout.placement.scale, cutout.placement.x, cutout.placement.y
    seen = np.nonzero(cutout.cutout.pixels[..., 3] > 127)
    for there, start, found, origin in ((columns, x, seen[1], "x0"), (rows, y, seen[0], "y0")):
        first = found.min() + getattr(cutout.cutout.region, origin)
        last = found.max() + 1 + getattr(cutout.cutout.region, origin)
        assert first == pytest.approx(start + scale * there.min(), abs=1.5)
        assert last == pytest.approx(start + scale * (there.max() + 1), abs=1.5)


def test_bytes_and_floats_agree() -> None:
    alpha = disc("soft")
    size = Size(WIDTH, HEIGHT)
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    masks = [Mask(each, Region.of(size)) for each in (alpha, alpha.astype(np.float32) / 255)]
    first, second = (finish(photo, mask, size, Finish(canvas=CANVAS)) for mask in masks)
    assert np.array_equal(first.cutout.pixels, second.cutout.pixels)
    assert first.placement == second.placement


@pytest.mark.parametrize("shape", [(4000, 1), (1, 4000), (4000, 3)], ids=str)
def test_a_line_is_not_lost(shape: tuple[int, int]) -> None:
    size = Size(shape[1], shape[0])
    photo, alpha = np.full((*shape, 3), 90, np.uint8), np.full(shape, 255, np.uint8)
    cutout = finish(photo, Mask(alpha, Region.of(size)), size, Finish(canvas=Size(64, 64)))
    assert cutout.cutout.pixels[..., 3].max() > 0


@given(st.integers(0, 200), st.integers(1, 200), st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_whole_blocks(first: int, length: int, before: int, after: int, side: int) -> None:
    last, least, most = first + length, first - before, first + length + after
    start, stop = whole_blocks(first, last, least, most, side)
    assert least <= start <= stop <= most
    assert (stop - start) % side == 0
    missing = max(0, start - first) + max(0, last - stop)
    assert missing < side
    assert missing == 0 or most - least - (stop - start) < side, "only if there is no room for one block more"

"""The three steps together."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tensorhop.errors import InvalidInput
from tensorhop.services.postprocess.finishing import finish
from tensorhop.values.compositing import compose
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size, size_of
from tensorhop.values.results import Cutout, Layer, Mask

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
NOTHING = Finish(center=False, decontaminate=False, shadow="none", refine=False)


def coffee_cup() -> tuple[np.ndarray, Mask]:
    """A photo with its saucer's ellipse, soft at the rim, as uint8."""
    photo = cv2.cvtColor(cv2.imread(str(PHOTOS / "coffee.jpg")), cv2.COLOR_BGR2RGB)
    alpha = np.zeros(photo.shape[:2], np.uint8)
    cv2.ellipse(alpha, (290, 200), (190, 150), 10, 0, 360, 255, -1)
    region = Region(60, 20, 520, 390)
    return photo, Mask(np.ascontiguousarray(cv2.GaussianBlur(alpha, (0, 0), 4)[region.slices]), region)


def finished(options: Finish) -> tuple[np.ndarray, Mask, Cutout]:
    photo, mask = coffee_cup()
    return photo, mask, finish(photo[mask.region.slices], mask, size_of(photo), options)


def whole(layer: Layer, size: Size) -> np.ndarray:
    return compose([layer], Region.of(size))


@pytest.mark.parametrize("decontaminate", [False, True])
@pytest.mark.parametrize("shadow", ["none", "cast"])
def test_in_place_the_opaque_pixels_are_the_photos_own(decontaminate: bool, shadow: str) -> None:
    photo, mask, cutout = finished(Finish(center=False, decontaminate=decontaminate, shadow=shadow, refine=False))
    assert cutout.placement.canvas == size_of(photo)
    assert (cutout.placement.scale, cutout.placement.x, cutout.placement.y) == (1, 0, 0)
    pixels = whole(cutout.cutout, size_of(photo))
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[mask.region.slices] = mask.alpha
    assert np.array_equal(pixels[..., 3], alpha)  # alpha is not changed
    assert np.array_equal(pixels[alpha == 255][:, :3], photo[alpha == 255])
    assert not pixels[alpha == 0].any()
    soft = (alpha > 0) & (alpha < 255)
    assert np.array_equal(pixels[soft][:, :3], photo[soft]) is not decontaminate


def test_a_coarse_mask_is_refined_if_asked_for() -> None:
    photo, mask, cutout = finished(Finish(center=False, shadow="none", refine=True))
    _, _, plain = finished(Finish(center=False, shadow="none"))
    inside = Region.of(size_of(photo))
    assert not np.array_equal(compose([cutout.cutout], inside), compose([plain.cutout], inside))
    assert np.array_equal(mask.alpha, coffee_cup()[1].alpha)  # what the caller gave stays as it is


def test_layers_hold_only_their_own_pixels() -> None:
    _, _, cutout = finished(Finish())
    assert cutout.shadow is not None
    for layer in (cutout.cutout, cutout.shadow):
        alpha = layer.pixels[..., 3]
        assert size_of(alpha) == layer.region.size
        assert layer.pixels.dtype == np.uint8
        assert layer.pixels.flags.c_contiguous
        assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
        assert layer.region.intersect(Region.of(cutout.placement.canvas)) == layer.region


def test_float_and_byte_masks_agree() -> None:
    photo, mask, cutout = finished(Finish())
    alpha = mask.alpha.astype(np.float32) / 255
    other = finish(photo[mask.region.slices], Mask(alpha, mask.region), size_of(photo), Finish())
    assert np.array_equal(other.cutout.pixels, cutout.cutout.pixels)
    assert other.placement == cutout.placement


def test_read_only_views_and_twice_the_same() -> None:
    photo, mask, cutout = finished(Finish())
    crop = photo[mask.region.slices]
    packed = np.frombuffer(b"\0" + crop.tobytes(), np.uint8, offset=1).reshape(crop.shape)
    alpha = np.frombuffer(mask.alpha.tobytes(), np.uint8).reshape(mask.alpha.shape)
    again = finish(packed, Mask(alpha, mask.region), size_of(photo), Finish())
    assert cutout.shadow is not None
    assert again.shadow is not None
    assert np.array_equal(again.cutout.pixels, cutout.cutout.pixels)
    assert np.array_equal(again.shadow.pixels, cutout.shadow.pixels)


def test_the_photos_size_does_not_matter() -> None:
    photo, mask, cutout = finished(Finish())
    moved = mask.region.moved(5000, 3000)
    other = finish(photo[mask.region.slices], Mask(mask.alpha, moved), Size(8000, 6000), Finish())
    assert np.array_equal(other.cutout.pixels, cutout.cutout.pixels)
    assert other.cutout.region == cutout.cutout.region


def test_the_old_background_is_gone() -> None:
    """A red disc, defocused, on green: on white nothing green is left."""
    alpha = cv2.circle(np.zeros((400, 400), np.uint8), (200, 200), 120, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 9)
    part = alpha[..., None] / 255
    photo = np.rint(part * (210, 40, 30) + (1 - part) * (30, 200, 60)).astype(np.uint8)
    greens = []
    for decontaminate in (False, True):
        options = Finish(shadow="none", decontaminate=decontaminate)
        pixels = finish(photo, Mask(alpha, Region(0, 0, 400, 400)), Size(400, 400), options).cutout.pixels
        seen = pixels[..., 3] > 12
        greens.append(float((pixels[seen][:, 1].astype(int) - pixels[seen][:, 0]).max()))
    assert greens[0] > 100
    assert greens[1] < -120


@pytest.mark.parametrize("shadow", ["none", "contact", "cast"])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("value", [255, 14])
def test_one_pixel(shadow: str, center: bool, value: int) -> None:
    alpha = np.full((1, 1), value, np.uint8)
    mask = Mask(alpha, Region(7, 0, 8, 1))
    cutout = finish(np.full((1, 1, 3), 99, np.uint8), mask, Size(8, 5), Finish(center=center, shadow=shadow))
    assert cutout.cutout.pixels[..., 3].max() > 0
    assert (cutout.shadow is None) is (shadow == "none")


def test_a_veil_all_over_the_photo() -> None:
    """A mask with a faint haze everywhere: the object is still in the middle, the haze stays on the canvas."""
    alpha = np.full((300, 480), 9, np.uint8)
    alpha[180:252, 360:450] = 255
    cutout = finish(np.full((300, 480, 3), 80, np.uint8), Mask(alpha, Region(0, 0, 480, 300)), Size(480, 300), Finish())
    rows, columns = np.nonzero(cutout.cutout.pixels[..., 3] > 13)
    assert abs((columns.min() + columns.max() + 1) / 2 + cutout.cutout.region.x0 - 512) <= 1
    assert abs((rows.min() + rows.max() + 1) / 2 + cutout.cutout.region.y0 - 512) <= 1


PIXELS = np.zeros((4, 6, 3), np.uint8)
FULL = np.full((4, 6), 255, np.uint8)
PLACE = Region(1, 1, 7, 5)
NAN = np.full((4, 6), np.nan, np.float32)


@pytest.mark.parametrize(
    ("crop", "mask", "options", "field"),
    [
        (PIXELS, Mask(np.zeros((4, 6), np.uint8), PLACE), Finish(), "mask.alpha"),
        (PIXELS, Mask(np.full((4, 6), 12, np.uint8), PLACE), Finish(), "mask.alpha"),
        (PIXELS, Mask(NAN, PLACE), Finish(), "mask.alpha"),
        (PIXELS, Mask(np.full((4, 6), 1.5, np.float32), PLACE), Finish(), "mask.alpha"),
        (PIXELS, Mask(np.full((4, 6), -0.1, np.float32), PLACE), Finish(), "mask.alpha"),
        (PIXELS[:3], Mask(FULL, PLACE), Finish(), "crop"),
        (PIXELS, Mask(FULL, Region(1, 1, 6, 5)), Finish(), "mask.alpha.shape"),
        (PIXELS, Mask(FULL, Region(6, 1, 12, 5)), Finish(), "mask.region"),
        (PIXELS, Mask(np.zeros((0, 0), np.uint8), Region(1, 1, 1, 1)), Finish(), "mask.region"),
        (PIXELS, Mask(FULL, PLACE), Finish(rot=float("inf")), "finish.shadow.rot"),
        (PIXELS, Mask(FULL, PLACE), Finish(shadow="long"), "finish.shadow"),
    ],
)
def test_bad_input(crop: np.ndarray, mask: Mask, options: Finish, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        finish(crop, mask, Size(10, 10), options)
    assert caught.value.field == field


def test_the_message_says_that_it_is_empty() -> None:
    with pytest.raises(InvalidInput, match=r"^mask\.alpha is empty: "):
        finish(PIXELS, Mask(np.zeros((4, 6), np.uint8), PLACE), Size(10, 10), NOTHING)

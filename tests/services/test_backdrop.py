"""The shadow of an object on a backdrop: what must hold for any model of it."""

import cv2
import numpy as np
import pytest

from tensorhop.services.postprocess.backdrop import draw_backdrop
from tensorhop.services.postprocess.finishing import finish
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Layer, Mask

SIDE = 256
CANVAS = Size(SIDE, SIDE)
RED = (200, 40, 40)
GREY = 232


def key(turn: int = 0, alpha: int = 255) -> Layer:
    """An object without symmetry."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (95, 128), 38, alpha, -1)
    cv2.circle(mask, (90, 128), 14, 0, -1)
    cv2.rectangle(mask, (130, 118), (205, 138), alpha, -1)
    cv2.rectangle(mask, (180, 138), (192, 170), alpha, -1)
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[mask > 0] = (*RED, alpha)
    return Layer(np.ascontiguousarray(np.rot90(pixels, -turn)), Region.of(CANVAS))


def picture(finish: Finish, turn: int = 0) -> np.ndarray:
    """Sides and colour of the backdrop beside the object: float, SIDE x SIDE x 3, 0 to 1; under the object NaN."""
    cutout = key(turn)
    shadow = draw_backdrop(cutout, CANVAS, finish)
    assert shadow is not None
    found = flatten(compose([shadow], Region.of(CANVAS)), finish.backdrop_colour)[..., :3] / 255
    found[cutout.pixels[..., 3] > 0] = np.nan
    return found


def test_it_falls_to_the_bearing_and_the_object_s_colour_to_the_lamp() -> None:
    found = picture(Finish(shadow="backdrop", rot=90))
    ground = GREY / 255
    assert np.nanmin(found[120:136, 206:215]) < 0.7 * ground  # to the right of the key's end
    lit = found[120:136, 50:56]
    assert np.nanmax(lit[..., 0]) > ground + 0.01  # brighter than the backdrop, and red
    assert np.nanmean(lit[..., 0] - lit[..., 2]) > 0.02
    assert np.abs(found[:8, :8] - ground).max() < 0.02


@pytest.mark.parametrize("profile", ["slab", "round"])
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turning_picture_and_rot_turns_the_layer(profile: str, turn: int) -> None:
    options = {"shadow": "backdrop", "profile": profile}
    straight = picture(Finish(rot=35, **options))  # type: ignore[arg-type]
    turned = picture(Finish(rot=35 + 90 * turn, **options), turn)  # type: ignore[arg-type]
    difference = np.abs(np.rot90(turned, turn) - straight)
    assert np.nanmean(difference) <= 0.0005
    assert np.nanquantile(difference, 0.999) <= 1.01 / 255


@pytest.mark.parametrize("options", [{"opacity": 1.0, "bounce": 0.0}, {"opacity": 0.0, "bounce": 0.0}])
def test_without_bounce_nothing_is_brighter_than_the_backdrop(options: dict[str, float]) -> None:
    found = picture(Finish(shadow="backdrop", **options))  # type: ignore[arg-type]
    assert np.nanmax(found) <= (GREY + 1) / 255
    assert np.nanmin(found) < 0.75 * GREY / 255


def test_a_longer_shadow_a_softer_one_and_a_thicker_object() -> None:
    def shaded(**options: float) -> float:
        return float(np.nanmean(picture(Finish(shadow="backdrop", bounce=0, **options)) < 0.9 * GREY / 255))  # type: ignore[arg-type]

    assert shaded(length=0.4) < shaded(length=1.2) < shaded(length=2.4)
    assert shaded(thickness=0.05) < shaded(thickness=0.14) < shaded(thickness=0.3)
    sharp, soft = (picture(Finish(shadow="backdrop", softness=softness, opacity=1, bounce=0)) for softness in (0, 0.25))
    steps = [np.nanmax(np.abs(np.diff(found[..., 0], axis=0))) for found in (sharp, soft)]
    assert steps[0] > 1.5 * steps[1]


@pytest.mark.parametrize("length", [0, 0.05, 4])
@pytest.mark.parametrize("softness", [0, 0.25])
@pytest.mark.parametrize("thickness", [1e-6, 1])
def test_the_ends_of_the_ranges(length: float, softness: float, thickness: float) -> None:
    found = picture(Finish(shadow="backdrop", length=length, softness=softness, thickness=thickness))
    assert np.isfinite(found[np.nonzero(key().pixels[..., 3] == 0)]).all()


def test_on_white_the_glow_is_left_out_and_the_shadow_kept() -> None:
    white = picture(Finish(shadow="backdrop", rot=90, backdrop="white"))
    grey = picture(Finish(shadow="backdrop", rot=90))
    assert np.nanmax(np.abs(white - np.minimum(grey * 255 / GREY, 1))) < 2.5 / 255


def test_a_mask_without_a_solid_pixel_casts_nothing_and_says_so() -> None:
    alpha = np.zeros((60, 80), np.uint8)
    alpha[20:40, 20:60] = 120
    crop = np.full((60, 80, 3), 90, np.uint8)
    cutout = finish(crop, Mask(alpha, Region(0, 0, 80, 60)), Size(80, 60), Finish(shadow="backdrop"))
    assert cutout.shadow is None
    assert "casts no shadow" in cutout.warnings[0]


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 60), (60, 3)])
def test_tiny_objects(center: bool, shape: tuple[int, int]) -> None:
    alpha = np.full(shape, 255, np.uint8)
    photo = Size(80, 70)
    region = Region(5, 5, 5 + shape[1], 5 + shape[0])
    options = Finish(center=center, shadow="backdrop", canvas=Size(64, 48))
    cutout = finish(np.full((*shape, 3), 90, np.uint8), Mask(alpha, region), photo, options)
    assert cutout.shadow is not None
    assert Region.of(cutout.placement.canvas).intersect(cutout.shadow.region) == cutout.shadow.region

"""Where an object lands on its canvas, measured on the pixels that come out."""

import cv2
import numpy as np
import pytest

from tensorhop.services.postprocess.center import centered, in_place, resampled, room, trimmed_layer, visible_box
from tensorhop.services.postprocess.finishing import finish
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Cutout, Mask


def finished(alpha: np.ndarray, **options: object) -> Cutout:
    photo = np.full((*alpha.shape, 3), (200, 120, 40), np.uint8)
    region = Region.of(size_of(alpha))
    return finish(photo, Mask(alpha, region), region.size, Finish(**options))  # type: ignore[arg-type]


def drawn(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    alpha = np.zeros((height, width), np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 255
    return alpha


SOFT = cv2.GaussianBlur(drawn(700, 900, (100, 300, 700, 420)), (0, 0), 5)
OBJECTS = {
    "plain": drawn(600, 800, (100, 200, 500, 433)),
    "soft": SOFT,
    "one pixel": drawn(50, 60, (59, 0, 60, 1)),
    "thin": drawn(1500, 300, (50, 3, 52, 1480)),
    "flat": drawn(300, 2400, (0, 150, 2400, 153)),
    "whole photo": drawn(317, 411, (0, 0, 411, 317)),
    "at the right edge": drawn(800, 500, (333, 100, 500, 720)),
    "large": drawn(1200, 1500, (100, 200, 1490, 1177)),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("shadow", ["none", "cast"])
def test_the_box_is_in_the_middle(name: str, shadow: str) -> None:
    cutout = finished(OBJECTS[name], shadow=shadow, rot=110.0)
    assert cutout.placement.canvas == Size(1024, 1024)
    box = visible_box(cutout.cutout.pixels[..., 3] / 255).moved(cutout.cutout.region.x0, cutout.cutout.region.y0)
    assert abs((box.x0 + box.x1) / 2 - 512) <= 1
    assert abs((box.y0 + box.y1) / 2 - 512) <= 1
    assert cutout.cutout.region.intersect(Region(0, 0, 1024, 1024)) == cutout.cutout.region
    assert cutout.placement.scale <= 2


@pytest.mark.parametrize("name", ["soft", "large", "at the right edge"])
def test_it_fills_the_canvas(name: str) -> None:
    cutout = finished(OBJECTS[name], shadow="none")
    assert max(cutout.cutout.region.size) == pytest.approx(0.8 * 1024, abs=24)


@pytest.mark.parametrize("shadow", ["none", "contact", "cast"])
@pytest.mark.parametrize("canvas", [Size(800, 500), Size(333, 1001), Size(7, 7), Size(2, 3000), Size(1, 1)])
@pytest.mark.parametrize("fill", [1.0, 0.37])
def test_any_canvas_and_fill(canvas: Size, fill: float, shadow: str) -> None:
    alpha = drawn(600, 800, (100, 200, 500, 433))
    cutout = finished(alpha, canvas=canvas, fill=fill, shadow=shadow, max_scale=100)
    assert cutout.placement.canvas == canvas
    box = visible_box(cutout.cutout.pixels[..., 3] / 255).moved(cutout.cutout.region.x0, cutout.cutout.region.y0)
    assert abs((box.x0 + box.x1) / 2 - canvas.width / 2) <= 1
    assert abs((box.y0 + box.y1) / 2 - canvas.height / 2) <= 1
    for layer in (cutout.cutout, cutout.shadow):
        assert layer is None or layer.region.intersect(Region.of(canvas)) == layer.region
    if shadow == "none":
        width, height = box.size
        filled = max(width - fill * canvas.width, height - fill * canvas.height)  # by how much it is off, in pixels
        assert -2 <= filled <= 2


def test_max_scale_is_how_far_a_small_object_grows() -> None:
    alpha = drawn(100, 100, (40, 40, 60, 60))
    assert finished(alpha, shadow="none", max_scale=1).placement.scale == 1
    assert finished(alpha, shadow="none", max_scale=7.5).placement.scale == 7.5
    assert finished(alpha, shadow="none", max_scale=100).placement.scale == pytest.approx(0.8 * 1024 / 20)


def test_far_shrinking_is_the_mean_and_takes_little() -> None:
    """A square of 1,200 pixels of four colours becomes two pixels, each the mean of its part."""
    rgba = np.full((1200, 1200, 4), 255, np.uint8)
    rgba[::2, :600, :3] = 0
    rgba[:, 600:, :3] = (200, 100, 0)
    layer = resampled(rgba, Region(0, 0, 1200, 1200), centered(Region(0, 0, 1200, 1200), canvas=Size(2, 2), fill=1))
    assert layer.region == Region(0, 0, 2, 2)
    assert (layer.pixels[..., 3] > 200).all()
    np.testing.assert_allclose(layer.pixels[:, 0, :3], 127.5, atol=20)
    np.testing.assert_allclose(layer.pixels[:, 1, :3], [(200, 100, 0)] * 2, atol=20)


def test_small_objects_are_not_blown_up() -> None:
    cutout = finished(drawn(100, 100, (40, 40, 60, 60)), shadow="none")
    assert cutout.placement.scale == 2
    assert max(cutout.cutout.region.size) <= 40 + 4


def test_the_placement_is_where_the_pixels_are() -> None:
    """A white square inside a black object is found where the placement says."""
    photo, alpha = np.zeros((700, 900, 3), np.uint8), drawn(700, 900, (50, 100, 801, 633))
    photo[200:260, 500:580] = 255
    cutout = finish(photo, Mask(alpha, Region(0, 0, 900, 700)), Size(900, 700), Finish(shadow="none"))
    rows, columns = np.nonzero(cutout.cutout.pixels[..., 0] > 127)
    scale, x, y = cutout.placement.scale, cutout.placement.x, cutout.placement.y
    assert columns.min() + cutout.cutout.region.x0 == pytest.approx(x + scale * 500, abs=1)
    assert columns.max() + 1 + cutout.cutout.region.x0 == pytest.approx(x + scale * 580, abs=1)
    assert rows.min() + cutout.cutout.region.y0 == pytest.approx(y + scale * 200, abs=1)
    assert rows.max() + 1 + cutout.cutout.region.y0 == pytest.approx(y + scale * 260, abs=1)


def test_shrinking_averages() -> None:
    """Stripes finer than the canvas's pixels become their mean, not some of the stripes."""
    rgba = np.full((2400, 2400, 4), 255, np.uint8)
    rgba[:, ::2, :3] = 0
    region = Region(0, 0, 2400, 2400)
    inside = resampled(rgba, region, centered(region)).pixels[20:-20, 20:-20]
    assert np.abs(inside[..., :3].astype(int) - 127).max() <= 12
    assert (inside[..., 3] == 255).all()


@pytest.mark.parametrize("scale", [0.31, 0.9, 1.7])
def test_transparent_pixels_do_not_bleed(scale: float) -> None:
    rgba = np.zeros((300, 300, 4), np.uint8)
    rgba[..., :3] = (0, 255, 0)
    rgba[80:200, 90:190] = (220, 30, 30, 255)
    region = Region(0, 0, 300, 300)
    placement = centered(region, canvas=Size(1000, 1000), fill=0.3 * scale, max_scale=9)
    assert placement.scale == pytest.approx(scale)
    pixels = resampled(rgba, region, placement).pixels
    seen = pixels[..., 3] > 0
    assert np.abs(pixels[seen][:, :3].astype(int) - (220, 30, 30)).max() <= 1


def test_in_place_is_the_photo() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    layer = resampled(rgba, Region(5, 6, 35, 26), in_place(Size(100, 50)))
    assert np.array_equal(layer.pixels, rgba)
    assert layer.region == Region(5, 6, 35, 26)


def test_there_is_room_for_what_reaches_out() -> None:
    box, reach = Region(100, 100, 200, 300), Box(90.0, 150.0, 420.0, 310.0)
    placement = centered(box, reach)
    assert placement.x + placement.scale * reach.x1 <= 1024
    assert placement.scale < centered(box).scale
    widest = room(box)
    assert placement.scale * widest.width <= 1024 * 1.3


def test_trimmed_keeps_every_visible_pixel() -> None:
    rgba = np.zeros((40, 50, 4), np.uint8)
    rgba[7, 9, 3] = rgba[30, 44, 3] = 1
    layer = trimmed_layer(resampled(rgba, Region(0, 0, 50, 40), in_place(Size(50, 40))))
    assert layer.region == Region(9, 7, 45, 31)
    assert layer.pixels[..., 3].sum() == 2


@pytest.mark.parametrize("shadow", ["none", "cast"])
def test_an_object_gets_no_smaller_than_a_pixel(shadow: str) -> None:
    cutout = finished(OBJECTS["large"], shadow=shadow, rot=110.0, fill=1e-300)
    assert cutout.placement.scale == pytest.approx(1 / 1390)
    assert cutout.cutout.pixels[..., 3].max() > 0
    assert max(cutout.cutout.pixels.shape[:2]) <= 4

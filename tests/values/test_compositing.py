"""Source-over, checked against the formula in double precision."""

import numpy as np
import pytest

from tensorhop.values.compositing import compose, fit_picture, flatten
from tensorhop.values.geometry import Region, Size
from tensorhop.values.results import Layer


def layer(seed: int, region: Region) -> Layer:
    """Random pixels, a third of them opaque and a third transparent."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (region.size.height, region.size.width, 4), np.uint8)
    kind = random.integers(0, 3, pixels.shape[:2])
    pixels[kind == 0, 3] = 255
    pixels[kind == 1] = 0
    pixels.setflags(write=False)
    return Layer(pixels, region)


def on(region: Region, laid: Layer) -> np.ndarray:
    """A layer's pixels on a region, pixel by pixel, premultiplied, 0 to 1."""
    result = np.zeros((region.size.height, region.size.width, 4))
    for y in range(region.y0, region.y1):
        for x in range(region.x0, region.x1):
            if laid.region.x0 <= x < laid.region.x1 and laid.region.y0 <= y < laid.region.y1:
                result[y - region.y0, x - region.x0] = laid.pixels[y - laid.region.y0, x - laid.region.x0] / 255
    result[..., :3] *= result[..., 3:]
    return result


def test_follows_the_formula() -> None:
    region = Region(-3, 2, 40, 33)
    layers = [layer(0, Region(-10, -5, 30, 20)), layer(1, Region(5, 8, 60, 60)), layer(2, Region(0, 0, 20, 50))]
    expected = np.zeros((31, 43, 4))
    for laid in layers:
        above = on(region, laid)
        expected = above + expected * (1 - above[..., 3:])
    result = compose(layers, region)
    assert result.dtype == np.uint8
    assert np.abs(result[..., 3] / 255 - expected[..., 3]).max() < 2 / 255
    premultiplied = result[..., :3] / 255 * result[..., 3:] / 255
    assert np.abs(premultiplied - expected[..., :3]).max() < 2.5 / 255


def test_one_layer_and_opaque_pixels_come_out_to_the_bit() -> None:
    region = Region(0, 0, 20, 20)
    below, above = layer(0, region), layer(1, region)
    assert np.array_equal(compose([below], region), below.pixels)
    result, opaque = compose([below, above], region), above.pixels[..., 3] == 255
    assert np.array_equal(result[opaque], above.pixels[opaque])
    free = above.pixels[..., 3] == 0
    assert np.array_equal(result[free], below.pixels[free])


def test_order_and_colour() -> None:
    region = Region(0, 0, 1, 1)
    red, half_blue = (Layer(np.uint8([[pixel]]), region) for pixel in ((255, 0, 0, 255), (0, 0, 255, 128)))
    assert compose([red, half_blue], region).tolist() == [[[127, 0, 128, 255]]]
    assert compose([half_blue, red], region).tolist() == [[[255, 0, 0, 255]]]


def test_straight_alpha_is_not_darkened() -> None:
    """Half-transparent white over half-transparent white stays white."""
    region = Region(0, 0, 1, 1)
    white = Layer(np.uint8([[[255, 255, 255, 128]]]), region)
    assert compose([white, white], region).tolist() == [[[255, 255, 255, 192]]]


def test_layers_outside_and_no_layers() -> None:
    region = Region(0, 0, 4, 3)
    assert not compose([layer(0, Region(4, 0, 9, 9)), layer(1, Region(-5, -5, 0, 0))], region).any()
    assert compose([], region).shape == (3, 4, 4)


def test_flat_is_opaque_and_follows_the_formula() -> None:
    pixels = layer(3, Region(0, 0, 30, 20)).pixels
    flat = flatten(pixels, (10, 200, 255))
    alpha = pixels[..., 3:] / 255
    np.testing.assert_allclose(flat[..., :3], pixels[..., :3] * alpha + (10, 200, 255) * (1 - alpha), atol=1)
    assert (flat[..., 3] == 255).all()
    assert (flat[pixels[..., 3] == 0][:, :3] == (10, 200, 255)).all()
    assert np.array_equal(flat[pixels[..., 3] == 255], pixels[pixels[..., 3] == 255])


@pytest.mark.parametrize(
    ("own", "canvas", "contained"),
    [
        ((40, 20), (80, 80), (0, 20, 80, 60)),
        ((20, 40), (80, 80), (20, 0, 60, 80)),
        ((7, 3), (70, 30), (0, 0, 70, 30)),
        ((1, 1), (9, 4), (2, 0, 6, 4)),
        ((5000, 2), (64, 64), (0, 31, 64, 32)),
        ((100, 100), (1, 1), (0, 0, 1, 1)),
        ((3, 4000), (50, 2), (24, 0, 25, 2)),
    ],
)
def test_a_picture_covers_the_canvas_or_is_contained_in_it(
    own: tuple[int, int], canvas: tuple[int, int], contained: tuple[int, int, int, int]
) -> None:
    pixels = np.full((own[1], own[0], 3), (9, 80, 200), np.uint8)
    cover, contain = (fit_picture(pixels, Size(*canvas), fit) for fit in ("cover", "contain"))
    assert cover.region == Region(0, 0, *canvas)
    assert contain.region == Region(*contained)
    for found in (cover, contain):
        assert found.pixels.shape == (*found.region.size[::-1], 4)
        assert (found.pixels == (9, 80, 200, 255)).all()


def test_a_picture_of_the_canvas_s_size_stays_as_it_is() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (30, 50, 3), np.uint8)
    for fit in ("cover", "contain"):
        assert np.array_equal(fit_picture(pixels, Size(50, 30), fit).pixels[..., :3], pixels)

"""Image files that are written: what decoders get back from them, and what they say about colour."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from tensorhop.values.compositing import compose
from tensorhop.values.encoding import encode_jpeg, encode_layers, encode_picture, encode_webp, luminance_steps
from tensorhop.values.geometry import Region
from tensorhop.values.images import decode_image
from tensorhop.values.output_options import Output
from tensorhop.values.results import Layer

WHITE = (255, 255, 255)


@pytest.fixture(scope="module")
def cutout() -> np.ndarray:
    """A saucer cut out of a real photo, soft at its rim, with a shadow under it and nothing around it."""
    photo = decode_image((Path(__file__).parents[2] / "examples" / "photos" / "coffee.jpg").read_bytes())
    alpha = cv2.ellipse(np.zeros(photo.shape[:2], np.uint8), (290, 200), (190, 150), 10, 0, 360, 255, -1)
    soft = cv2.GaussianBlur(alpha, (0, 0), 1.5)
    shadow = cv2.GaussianBlur(np.roll(alpha, (20, 20), (0, 1)), (0, 0), 6) // 2
    rgba = np.dstack([photo, soft])
    rgba[soft == 0] = 0
    rgba[..., 3] = np.maximum(soft, shadow)
    return rgba


def decoded(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("background", ["", "white"])
@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_every_file_says_that_it_is_srgb(cutout: np.ndarray, encoding: str, background: str) -> None:
    cutout = cutout[::2, ::2]
    file = encode_picture(cutout, Output(encoding, background=background))
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        assert image.format == encoding.upper()
        assert image.size == (300, 200)
        assert image.mode == ("RGB" if background or encoding == "jpeg" else "RGBA")
        if encoding == "png":
            assert image.info["srgb"] == 0
        else:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert encode_picture(cutout, Output(encoding, background=background)) == file


@pytest.mark.parametrize("background", ["", "#0af"])
@pytest.mark.parametrize(("encoding", "level"), [("png", None), ("png", 5), ("webp", None)])
def test_a_file_of_layers_shows_what_they_compose(
    cutout: np.ndarray, encoding: str, level: int | None, background: str
) -> None:
    layers = [Layer(cutout, Region(-3, 5, 597, 405)), Layer(cutout[50:90], Region(20, 90, 620, 130))]
    canvas, output = Region(0, 0, 610, 500), Output(encoding, background=background, png_level=level)
    whole = encode_picture(compose(layers, canvas), output)
    np.testing.assert_array_equal(decoded(encode_layers(layers, canvas, output)), decoded(whole))


def test_webp_keeps_alpha_and_looks_like_the_picture(cutout: np.ndarray) -> None:
    cutout = cutout[::2, ::2]
    pixels = decoded(encode_webp(cutout))
    np.testing.assert_array_equal(pixels[..., 3], cutout[..., 3])
    seen = cutout[..., 3] == 255
    assert np.abs(pixels[seen].astype(int) - cutout[seen]).mean() < 4
    assert len(encode_webp(cutout, 30)) < len(encode_webp(cutout, 95)) / 2


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_over_a_background_nothing_is_lost(cutout: np.ndarray, encoding: str) -> None:
    cutout = cutout[::2, ::2]
    pixels = decoded(encode_picture(cutout, Output(encoding, background="#0af")))
    free, solid = cutout[..., 3] == 0, cutout[..., 3] == 255
    assert (pixels[free] == (0, 0xAA, 0xFF)).all()
    np.testing.assert_array_equal(pixels[solid], cutout[solid][:, :3])


@pytest.mark.parametrize("quality", [1, 40, 75, 90, 100])
def test_a_white_background_of_a_jpeg_is_white_to_the_pixel(cutout: np.ndarray, quality: int) -> None:
    file = encode_picture(cutout, Output("jpeg", quality))
    free = cutout[..., 3] == 0
    for pixels in (decoded(file), cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)):
        assert (pixels[free] == 255).all()


def test_a_usual_jpeg_would_not_be(cutout: np.ndarray) -> None:
    """The test above can fail: at the best quality that Pillow writes, edges ring into the background."""
    file = io.BytesIO()
    over_white = decoded(encode_picture(cutout, Output("png", background="white")))
    Image.fromarray(over_white).save(file, "JPEG", quality=100, subsampling=0)
    assert (decoded(file.getvalue())[cutout[..., 3] == 0] < 255).any()


def test_the_hardest_object_on_white() -> None:
    """Noise whose every second pixel is background."""
    pixels = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    background = np.indices((64, 64)).sum(axis=0) % 2 == 0
    pixels[background] = 255
    assert (decoded(encode_jpeg(pixels, background, WHITE))[background] == 255).all()


@pytest.mark.parametrize(("quality", "loss"), [(30, 2), (60, 2), (90, 2), (100, 7)])
def test_the_object_of_a_jpeg_is_about_as_good_as_in_a_usual_one(cutout: np.ndarray, quality: int, loss: float) -> None:
    """By its peak signal-to-noise ratio in dB."""
    usual = io.BytesIO()
    over_white = decoded(encode_picture(cutout, Output("png", background="white")))
    Image.fromarray(over_white).save(usual, "JPEG", quality=quality, subsampling=0)
    solid = cutout[..., 3] == 255
    errors = [
        ((decoded(file)[solid].astype(float) - over_white[solid]) ** 2).mean()
        for file in (encode_picture(cutout, Output("jpeg", quality)), usual.getvalue())
    ]
    assert 10 * np.log10(errors[1] / errors[0]) > -loss


@pytest.mark.parametrize("colour", ["black", "red", "#0ff"])
def test_other_colours_at_the_ends_of_the_range_are_exact_too(cutout: np.ndarray, colour: str) -> None:
    output = Output("jpeg", background=colour)
    assert (decoded(encode_picture(cutout, output))[cutout[..., 3] == 0] == output.colour).all()


@pytest.mark.parametrize("colour", ["#f1f1f1", "#123456", "rebeccapurple"])
@pytest.mark.parametrize("quality", [30, 90])
def test_colours_between_are_exact_in_blocks_without_the_object(cutout: np.ndarray, colour: str, quality: int) -> None:
    output = Output("jpeg", quality, colour)
    pixels = decoded(encode_picture(cutout, output))
    blocks = (cutout[..., 3] == 0).reshape(50, 8, 75, 8).all(axis=(1, 3))
    free = blocks.repeat(8, axis=0).repeat(8, axis=1)
    assert 0.1 < free.mean() < 0.9
    assert (pixels[free] == output.colour).all()


def test_an_empty_and_a_full_canvas() -> None:
    nothing = np.zeros((9, 17, 4), np.uint8)
    assert (decoded(encode_picture(nothing, Output("jpeg"))) == 255).all()
    full = np.full((9, 17, 4), (10, 20, 30, 255), np.uint8)
    assert np.abs(decoded(encode_picture(full, Output("jpeg"))).astype(int) - (10, 20, 30)).max() <= 1


def test_steps_grow_as_quality_falls() -> None:
    sums = [sum(luminance_steps(quality)) for quality in (1, 30, 60, 90, 100)]
    assert sums == sorted(sums, reverse=True)
    assert sums[-1] == 64

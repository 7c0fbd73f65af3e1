"""Composites of a known foreground over a known background, and what comes back."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tensorhop.services.postprocess.decontaminate import estimate_foreground

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


def photo(name: str, side: int) -> np.ndarray:
    picture = cv2.cvtColor(cv2.imread(str(PHOTOS / name)), cv2.COLOR_BGR2RGB)
    square = min(picture.shape[:2])
    return cv2.resize(picture[:square, :square], (side, side), interpolation=cv2.INTER_AREA)


def soft_disc(side: int) -> np.ndarray:
    """Alpha of a disc, sharp on its left and defocused on its right, with hairs around it."""
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (side // 2, side // 2), side // 4, 255, -1, cv2.LINE_AA)
    for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        start, stop = (side / 2 + r * side * np.array([np.cos(angle), np.sin(angle)]) for r in (0.2, 0.38))
        cv2.line(mask, tuple(map(int, start)), tuple(map(int, stop)), int(100 + 25 * angle), 1, cv2.LINE_AA)
    alpha = mask.astype(np.float32) / 255
    alpha[:, side // 2 :] = cv2.GaussianBlur(alpha, (0, 0), side / 60)[:, side // 2 :]
    return np.rint(alpha * 255).astype(np.float32) / 255


def composite(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    mixed = alpha[..., None] * foreground + (1 - alpha[..., None]) * background.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def test_smooth_colors_come_back() -> None:
    """A foreground and a background of slowly changing colour are what the method assumes: it must find them."""
    alpha = soft_disc(256)
    ramp = np.linspace(0, 60, 256, dtype=np.float32)[None, :, None]
    foreground = np.broadcast_to(np.float32([180, 90, 20]) + ramp, (256, 256, 3))
    background = np.broadcast_to(np.float32([20, 60, 190]) - ramp / 4, (256, 256, 3))
    image = composite(foreground, background, alpha)
    soft = (alpha > 0.1) & (alpha < 1)
    error = np.abs(estimate_foreground(image, alpha)[soft] - foreground[soft]).mean()
    assert error < 6  # the photo itself: 59
    assert np.abs(image[soft] - foreground[soft]).mean() > 8 * error


@pytest.mark.parametrize(
    ("object_photo", "background_photo"),
    [("coffee.jpg", "astronaut.jpg"), ("cat.jpg", "coffee.jpg"), ("astronaut.jpg", "cat.jpg")],
)
def test_real_textures_come_closer(object_photo: str, background_photo: str) -> None:
    alpha, foreground, background = soft_disc(512), photo(object_photo, 512), photo(background_photo, 512)
    image = composite(foreground, background, alpha)
    soft = (alpha > 0) & (alpha < 1)
    weight = alpha[soft][:, None]  # what is seen of a colour, wherever the cut-out will be put

    def error(colors: np.ndarray) -> float:
        return float((weight * np.abs(colors[soft].astype(np.float32) - foreground[soft])).mean())

    assert error(estimate_foreground(image, alpha)) < 0.75 * error(image)


def test_composited_again_it_is_the_photo() -> None:
    alpha, foreground, background = soft_disc(512), photo("coffee.jpg", 512), photo("cat.jpg", 512)
    image = composite(foreground, background, alpha)
    again = composite(estimate_foreground(image, alpha), background, alpha)
    assert np.abs(again.astype(int) - image)[alpha > 0].mean() < 3


def test_opaque_pixels_are_the_photos_own() -> None:
    alpha, image = soft_disc(301), photo("cat.jpg", 301)
    result = estimate_foreground(image, alpha)
    assert np.array_equal(result[alpha == 1], image[alpha == 1])
    assert result.dtype == np.uint8


def test_is_deterministic_and_takes_read_only_views() -> None:
    alpha, image = soft_disc(128), photo("rocket.jpg", 128)
    expected = estimate_foreground(image, alpha)
    packed = np.frombuffer(b"\0" + image.tobytes(), np.uint8, offset=1).reshape(image.shape)
    opacity = np.frombuffer(b"\0" + alpha.tobytes(), np.dtype("<f4"), offset=1).reshape(alpha.shape)
    assert np.array_equal(estimate_foreground(packed, opacity), expected)
    wide_image, wide_alpha = np.zeros((128, 200, 3), np.uint8), np.zeros((128, 200), np.float32)
    wide_image[:, 40:168], wide_alpha[:, 40:168] = image, alpha
    assert np.array_equal(estimate_foreground(wide_image[:, 40:168], wide_alpha[:, 40:168]), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (2, 3), (33, 65)])
@pytest.mark.parametrize("value", [0.0, 1e-7, 0.5, 1 - 6e-8, 1.0])
def test_any_shape_and_any_alpha(shape: tuple[int, int], value: float) -> None:
    image = np.full((*shape, 3), (200, 100, 50), np.uint8)
    alpha = np.ones(shape, np.float32)
    alpha[shape[0] // 2, shape[1] // 2] = value
    result = estimate_foreground(image, alpha)
    assert result.shape == image.shape
    assert np.array_equal(result[alpha == 1], image[alpha == 1])
    if value not in (0, 1):  # all of one colour: the foreground has it too
        assert np.abs(result.astype(int) - image).max() <= 1


def test_one_soft_pixel_in_a_large_opaque_picture() -> None:
    image, alpha = photo("astronaut.jpg", 512), np.ones((512, 512), np.float32)
    alpha[300, 200] = 0.999
    result = estimate_foreground(image, alpha)
    assert np.array_equal(result[alpha == 1], image[alpha == 1])
    assert np.abs(result[300, 200].astype(int) - image[300, 200]).max() <= 3

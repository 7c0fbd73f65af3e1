"""Masks made coarse and brought back, against the alpha that they were made from."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tensorhop.services.postprocess.refine import detail, ramp, refine_edges

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SIDE = 640


def photo(name: str, side: int = SIDE) -> np.ndarray:
    picture = cv2.cvtColor(cv2.imread(str(PHOTOS / name)), cv2.COLOR_BGR2RGB)
    square = min(picture.shape[:2])
    return cv2.resize(picture[:square, :square], (side, side), interpolation=cv2.INTER_AREA)


def disc() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), SIDE // 3, 255, -1, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def wheel() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), SIDE // 3, 255, 24, cv2.LINE_AA)
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        stop = (SIDE / 2 + SIDE / 3 * np.cos(angle), SIDE / 2 + SIDE / 3 * np.sin(angle))
        cv2.line(mask, (SIDE // 2, SIDE // 2), tuple(map(int, stop)), 255, 2, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def defocused() -> np.ndarray:
    """Sharp on the left, out of focus on the right."""
    alpha = disc()
    alpha[:, SIDE // 2 :] = cv2.GaussianBlur(alpha, (0, 0), 16)[:, SIDE // 2 :]
    return alpha


def coarse(alpha: np.ndarray, side: int = 160) -> np.ndarray:
    """As a network with an output of this side would say it at best."""
    small = cv2.GaussianBlur(cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA), (0, 0), 1)
    return cv2.resize(small, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)


def composite(alpha: np.ndarray, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
    mixed = alpha[..., None] * foreground + (1 - alpha[..., None]) * background.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def error(alpha: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(alpha - truth).sum())


@pytest.mark.parametrize(
    ("truth", "foreground", "background", "most"),
    [
        (disc(), "cat.jpg", "rocket.jpg", 0.6),
        (wheel(), "rocket.jpg", "coffee.jpg", 0.7),
        (defocused(), "coffee.jpg", "astronaut.jpg", 0.9),
    ],
    ids=["edge", "spokes", "defocus"],
)
def test_a_coarse_mask_comes_closer_to_the_truth(
    truth: np.ndarray, foreground: str, background: str, most: float
) -> None:
    mask = coarse(truth)
    result = refine_edges(composite(truth, photo(foreground), photo(background)), mask)
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1
    assert error(result, truth) < most * error(mask, truth)


def test_spokes_survive() -> None:
    truth = wheel()
    ring = np.hypot(*(np.indices(truth.shape) - SIDE / 2))
    spokes = (truth == 1) & (ring > 0.1 * SIDE) & (ring < 0.28 * SIDE)
    mask = coarse(truth)
    result = refine_edges(composite(truth, photo("rocket.jpg"), photo("coffee.jpg")), mask)
    assert result[spokes].mean() > 1.2 * mask[spokes].mean()


@pytest.mark.parametrize("name", ["cat.jpg", "coffee.jpg", "astronaut.jpg", "rocket.jpg"])
def test_where_the_photo_shows_no_edge_the_mask_stays(name: str) -> None:
    """A mask laid over mere texture, fur and wood: what it would be drawn after is not there."""
    mask = coarse(disc())
    result = refine_edges(photo(name, 2 * SIDE)[:SIDE, :SIDE], mask)
    assert error(result, mask) < 0.35 * error(disc(), mask)


def test_a_plain_photo_changes_nothing() -> None:
    mask = coarse(disc())
    assert np.abs(refine_edges(np.full((SIDE, SIDE, 3), 99, np.uint8), mask) - mask).max() < 1e-3


@pytest.mark.parametrize("truth", [disc(), wheel(), defocused(), (disc() > 0.5).astype(np.float32)])
def test_a_mask_of_the_photos_resolution_is_left_alone(truth: np.ndarray) -> None:
    for mask in (truth, np.rint(truth * 255).astype(np.float32) / 255):
        assert refine_edges(photo("cat.jpg"), mask) is mask


def test_only_soft_surroundings_change() -> None:
    mask = coarse(disc())
    result = refine_edges(photo("astronaut.jpg"), mask)
    far = (cv2.dilate(mask, np.ones((41, 41))) == 0) | (cv2.erode(mask, np.ones((41, 41))) == 1)
    assert far.any()
    assert np.array_equal(result[far], mask[far])


def test_detail_and_ramp_follow_the_enlargement() -> None:
    details = [detail(coarse(disc(), side)) for side in (80, 160, 320)]
    ramps = [ramp(coarse(disc(), side)) for side in (80, 160, 320)]
    assert details == sorted(details)
    assert ramps == sorted(ramps, reverse=True)
    assert details[1] < 0.2 < detail(disc())
    assert ramp(np.pad(np.ones((9, 9), np.float32), 9)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (9, 8), (33, 65), (300, 12)])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_any_shape(shape: tuple[int, int], value: float) -> None:
    image = np.full((*shape, 3), (200, 100, 50), np.uint8)
    flat = np.full(shape, value, np.float32)
    slope = np.broadcast_to(np.linspace(0, 1, shape[1], dtype=np.float32), shape)
    for mask in (flat, np.ascontiguousarray(slope)):
        result = refine_edges(image, mask)
        assert result.shape == shape
        assert np.isfinite(result).all()


def test_takes_read_only_views() -> None:
    image, mask = photo("cat.jpg"), coarse(disc())
    expected = refine_edges(image, mask)
    packed = np.frombuffer(b"\0" + image.tobytes(), np.uint8, offset=1).reshape(image.shape)
    opacity = np.frombuffer(b"\0" + mask.tobytes(), np.dtype("<f4"), offset=1).reshape(mask.shape)
    assert np.array_equal(refine_edges(packed, opacity), expected)
    wide_image, wide_mask = np.zeros((SIDE, 700, 3), np.uint8), np.zeros((SIDE, 700), np.float32)
    wide_image[:, 40:680], wide_mask[:, 40:680] = image, mask
    assert np.array_equal(refine_edges(wide_image[:, 40:680], wide_mask[:, 40:680]), expected)

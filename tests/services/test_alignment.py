"""Colours brought to those of the input: by mean and deviation, and by low frequencies."""

import cv2
import numpy as np
import pytest

from tensorhop.services.upscale import alignment
from tensorhop.services.upscale.alignment import adain, unaligned, wavelet


def doubled(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


def test_adain_gives_the_input_s_mean_and_deviation(coffee: np.ndarray) -> None:
    shifted = np.clip(doubled(coffee) * np.array([0.7, 0.8, 0.6]) + [30, 10, 20], 0, 255).astype(np.uint8)
    made = adain(shifted, coffee)
    for channel in range(3):
        assert made[..., channel].mean() == pytest.approx(coffee[..., channel].mean(), abs=1.5)
        assert made[..., channel].std() == pytest.approx(coffee[..., channel].std(), abs=1.5)


def test_adain_of_one_colour_is_the_input_s_mean(coffee: np.ndarray) -> None:
    made = adain(np.full((800, 1200, 3), 200, np.uint8), coffee)
    assert np.allclose(made.mean(axis=(0, 1)), coffee.mean(axis=(0, 1)), atol=0.5)


def test_wavelet_takes_a_slow_shift_away_and_keeps_the_detail(coffee: np.ndarray) -> None:
    good = doubled(coffee)
    slow = np.linspace(-25, 25, good.shape[1])[None, :, None]
    made = wavelet(np.clip(good + slow, 0, 255).astype(np.uint8), coffee)
    inside = (good > 30) & (good < 225)
    assert abs(made.astype(int) - good)[inside].mean() < 1.5


def test_wavelet_keeps_what_the_input_does_not_have(coffee: np.ndarray) -> None:
    grain = np.random.default_rng(1).integers(-8, 9, (800, 1200, 1))
    made = wavelet(np.clip(doubled(coffee) + grain, 0, 255).astype(np.uint8), coffee)
    kept = (made.astype(float) - doubled(coffee)).std()
    assert kept == pytest.approx(grain.std(), rel=0.1)


def test_bands_leave_no_trace(coffee: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    shifted = cv2.convertScaleAbs(doubled(coffee), alpha=0.8, beta=20)
    whole = wavelet(shifted, coffee)
    monkeypatch.setattr(alignment, "BAND", 37)
    assert abs(wavelet(shifted, coffee).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("align", [adain, wavelet, unaligned])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_result_that_fits_stays(align: object, scale: int) -> None:
    image = np.full((3, 5, 3), (10, 200, 90), np.uint8)
    result = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)
    assert np.array_equal(align(result, image), result)  # type: ignore[operator]

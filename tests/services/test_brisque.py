"""BRISQUE against OpenCV's own: values by `make compare-quality`, pinned here, and what it is to be monotone in."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tensorhop.services.quality import brisque
from tensorhop.services.quality.brisque import Brisque
from tensorhop.services.quality.embedded import EmbeddedScorer
from tensorhop.values.images import decode_image

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
# cv2.quality.QualityBRISQUE_compute of opencv-contrib-python-headless 5.0.0.93 with Debian's files of the model.
# OpenCV rounds its features to four digits.
OPENCV = {"astronaut": 4.2952, "cat": 3.7552, "coffee": 7.6173, "rocket": 7.1350}


@pytest.fixture(scope="module")
def model() -> Brisque:
    return Brisque()


def luma(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("name", OPENCV)
def test_it_is_opencv_s(model: Brisque, name: str) -> None:
    photo = cv2.imread(str(PHOTOS / f"{name}.jpg"))
    assert model.distortion(cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)) == pytest.approx(OPENCV[name], abs=0.02)


def test_bands_leave_no_trace(coffee: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = brisque.features(luma(coffee))
    monkeypatch.setattr(brisque, "BAND", 37)
    assert np.allclose(brisque.features(luma(coffee)), whole, atol=1e-9)


@pytest.mark.parametrize("kind", ["blur", "noise", "jpeg", "shrunk"])
def test_more_distortion_scores_less(coffee: np.ndarray, kind: str) -> None:
    noise = np.random.default_rng(1).normal(size=coffee.shape)

    def distorted(amount: int) -> np.ndarray:
        if kind == "blur":
            return cv2.GaussianBlur(coffee, (0, 0), amount)
        if kind == "noise":
            return np.clip(coffee + noise * 12 * amount, 0, 255).astype(np.uint8)
        if kind == "jpeg":
            done, file = cv2.imencode(".jpg", coffee, [cv2.IMWRITE_JPEG_QUALITY, 40 // amount**2])
            assert done
            return decode_image(file.tobytes())
        small = cv2.resize(coffee, None, fx=1 / (2 * amount), fy=1 / (2 * amount), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, coffee.shape[1::-1], interpolation=cv2.INTER_CUBIC)

    images = [coffee, distorted(1), distorted(2)]
    scores = [result.score for result in EmbeddedScorer().predict(images, pairs=False)]
    assert None not in scores
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert scores[0] - scores[2] > 0.1  # type: ignore[operator]


@pytest.mark.parametrize("picture", ["plain", "black", "step", "checkers", "smallest"])
def test_a_picture_without_statistics_has_a_score(picture: str) -> None:
    y, x = np.mgrid[:64, :64]
    grey = {"plain": x * 0 + 99, "black": x * 0, "step": (x > 30) * 255, "checkers": (x + y) % 2 * 255}
    luma = grey.get(picture, x[:16, :16] * 9).astype(np.uint8)
    (result,) = EmbeddedScorer().predict([np.dstack([luma] * 3)], pairs=False)
    assert result.score is not None
    assert 0 <= result.score <= 1

"""How well two views match: the same scene from other angles does, another scene does not."""

import cv2
import numpy as np
import pytest

from tensorhop.services.quality.matching import match


def luma(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def test_the_same_view_matches_wholly(coffee: np.ndarray) -> None:
    assert match(luma(coffee), luma(coffee)) == 1


@pytest.mark.parametrize("angle", [10, 45, 180])
def test_a_turned_view_matches(coffee: np.ndarray, angle: int) -> None:
    turn = cv2.getRotationMatrix2D((300, 200), angle, 0.8)
    assert match(luma(coffee), cv2.warpAffine(luma(coffee), turn, (600, 400))) > 0.5


def test_another_scene_does_not(coffee: np.ndarray, cat: np.ndarray) -> None:
    assert match(luma(coffee), luma(cat)) < 0.2


@pytest.mark.parametrize("shape", [(16, 16), (400, 600), (16, 3000)])
def test_views_without_texture_do_not(shape: tuple[int, int]) -> None:
    assert match(np.full(shape, 90, np.uint8), np.full(shape, 90, np.uint8)) == 0


def test_a_large_view_is_reduced(coffee: np.ndarray) -> None:
    large = cv2.resize(luma(coffee), None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    assert match(large, luma(coffee)) > 0.5

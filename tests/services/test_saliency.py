"""U2-Net-p on real photos: what stands out, how strongly, at what size."""

import numpy as np
import pytest

from tensorhop.services.embedded.saliency import SALIENT, Saliency


@pytest.fixture(scope="module")
def saliency() -> Saliency:
    return Saliency()


def test_the_cup_stands_out_and_the_table_does_not(saliency: Saliency, coffee: np.ndarray) -> None:
    found = saliency.predict(coffee)
    assert found.shape == coffee.shape[:2]
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert found[150:250, 200:350].mean() > 0.9
    assert found[:60, :60].mean() < 0.05
    assert found[:, -60:].mean() < 0.05


@pytest.mark.parametrize("colour", [(0, 0, 0), (30, 90, 200)])
def test_a_plain_picture_is_not_stretched_to_something(saliency: Saliency, colour: tuple[int, int, int]) -> None:
    assert saliency.predict(np.full((200, 300, 3), colour, np.uint8)).max() < SALIENT


@pytest.mark.parametrize("size", [(200, 300), (240, 320)])
def test_nothing_stands_out_in_noise(saliency: Saliency, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert saliency.predict_small(noise).max() < SALIENT


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_sizes(saliency: Saliency, shape: tuple[int, int]) -> None:
    found = saliency.predict(np.full((*shape, 3), 200, np.uint8))
    assert found.shape == shape
    assert np.isfinite(found).all()


def test_a_read_only_view_is_taken_and_the_answer_is_the_same_again(saliency: Saliency, coffee: np.ndarray) -> None:
    view = coffee[::2, ::2]
    view.flags.writeable = False
    assert np.array_equal(saliency.predict_small(view), saliency.predict_small(view.copy()))

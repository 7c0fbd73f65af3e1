"""The embedded upscaler: better than bicubic, the same whatever the tiles, and without an edge of its own."""

import tracemalloc

import cv2
import numpy as np
import pytest

from tensorhop.services.embedded import weights
from tensorhop.services.upscale.embedded import EmbeddedUpscaler
from tensorhop.services.upscale.options import UpscaleOptions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> EmbeddedUpscaler:
    return EmbeddedUpscaler()


def enlarged(model: EmbeddedUpscaler, image: np.ndarray, scale: int = 2) -> np.ndarray:
    (result,) = model.predict([image], UpscaleOptions(scale))
    return result


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


@pytest.mark.parametrize("scale", [2, 4])
def test_it_is_nearer_to_the_large_photo_than_bicubic(model: EmbeddedUpscaler, coffee: np.ndarray, scale: int) -> None:
    small = cv2.resize(coffee, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    bicubic = cv2.resize(small, coffee.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    made = enlarged(model, small, scale)
    assert made.shape == coffee.shape
    assert made.dtype == np.uint8
    assert psnr(made, coffee) > psnr(bicubic, coffee) + (1 if scale == 2 else 0.4)


@pytest.mark.parametrize("tile", [32, 100, 128])
def test_tiles_leave_no_trace(coffee: np.ndarray, tile: int) -> None:
    image = coffee[:170, :300]
    assert np.array_equal(enlarged(EmbeddedUpscaler(tile), image), enlarged(EmbeddedUpscaler(1000), image))


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_plain_picture_stays_plain_up_to_its_edge(model: EmbeddedUpscaler, grey: int) -> None:
    made = enlarged(model, np.full((40, 150, 3), grey, np.uint8)).astype(int)
    assert abs(made - grey).max() <= 2
    assert np.ptp(made) <= 2


def test_the_edge_of_a_photo_is_no_darker_than_bicubic(model: EmbeddedUpscaler, coffee: np.ndarray) -> None:
    bicubic = cv2.resize(coffee, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC).astype(float)
    made = enlarged(model, coffee).astype(float)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert abs((made[edge] - bicubic[edge]).mean()) < 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (129, 3), (128, 128)])
def test_any_size_goes(model: EmbeddedUpscaler, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    assert enlarged(model, image).shape == (2 * shape[0], 2 * shape[1], 3)
    assert enlarged(model, image, 4).shape == (4 * shape[0], 4 * shape[1], 3)


def test_the_same_picture_gives_the_same_result(model: EmbeddedUpscaler, cat: np.ndarray) -> None:
    assert np.array_equal(enlarged(model, cat), enlarged(EmbeddedUpscaler(), cat))


def test_memory_beside_the_result_is_a_third_of_the_input(model: EmbeddedUpscaler, coffee: np.ndarray) -> None:
    image = np.tile(coffee, (4, 4, 1))
    model.warm_up()
    tracemalloc.start()
    result = enlarged(model, image)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < result.nbytes + image.nbytes / 3 + 8_000_000  # a tile's own


def test_the_network_is_small() -> None:
    assert (weights.FOLDER / "upscaler-x2.onnx").stat().st_size < 500_000

"""Swin2SR on a small checkpoint: what the service answers is what transformers answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import save
from transformers import AutoModelForImageToImage, Swin2SRConfig, Swin2SRForImageSuperResolution

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice, find_model
from tensorhop.services.upscale.options import UpscaleOptions
from tensorhop.services.upscale.service import SERVICE
from tensorhop.services.upscale.swin2sr import Swin2SR


def checkpoint(folder: Path, scale: int) -> Path:
    torch.manual_seed(scale)
    config = Swin2SRConfig(image_size=16, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=scale)
    network = Swin2SRForImageSuperResolution(config)
    save(folder, network, None, 0.1)
    return folder


@pytest.fixture(scope="module", params=[2, 4])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    return checkpoint(tmp_path_factory.mktemp("swin2sr"), request.param), request.param


def opened(folder: Path, **sizes: int) -> Swin2SR:
    return Swin2SR(find_model("upscale", ModelChoice(str(folder), "cpu"), SERVICE.models), **sizes)


def by_hand(folder: Path, image: np.ndarray) -> np.ndarray:
    network = AutoModelForImageToImage.from_pretrained(folder).eval()
    with torch.no_grad():
        answer = network(torch.tensor(image.transpose(2, 0, 1)[None] / 255, dtype=torch.float32)).reconstruction[0]
    return (answer.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def test_it_says_what_transformers_says(folder: tuple[Path, int], photos: list) -> None:
    path, scale = folder
    model: Any = SERVICE.load_model(ModelChoice(str(path), "cpu"))
    image = np.ascontiguousarray(photos[0][:24, :32])
    (found,) = model.predict([image], UpscaleOptions(scale=scale))
    expected = by_hand(path, image)
    assert expected.std() > 1
    assert np.abs(found.astype(int) - expected).max() <= 1
    if scale == 2:
        (twice,) = model.predict([image], UpscaleOptions(scale=4))
        assert np.abs(twice.astype(int) - by_hand(path, found)).max() <= 1
    else:
        with pytest.raises(InvalidInput, match=r"scale is 2; .* enlarges by 4"):
            model.predict([image], UpscaleOptions(scale=2))


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (17, 40)])
def test_odd_sizes_and_tiles(folder: tuple[Path, int], shape: tuple[int, int]) -> None:
    path, scale = folder
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    (found,) = opened(path, tile=32, overlap=8).predict([image], UpscaleOptions(scale=scale))
    assert found.shape == (scale * shape[0], scale * shape[1], 3)


def test_a_network_of_another_scale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="enlarges 3 channels by 8; it must be 3 channels by 2 or 4"):
        opened(checkpoint(tmp_path, 8))

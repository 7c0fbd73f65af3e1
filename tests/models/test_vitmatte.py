"""ViTMatte, tiny and random, by its service and by transformers alone: `make test-models`."""

from pathlib import Path
from typing import Any

import cv2
import make_tiny_promptable
import numpy as np
import pytest
import torch
from support import Serve, copied, out_of_memory
from tiny_checkpoints import SEED
from transformers import VitMatteForImageMatting
from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil

from tensorhop.client.steps import StepClient
from tensorhop.errors import InvalidInput
from tensorhop.models.presets import PRESETS
from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.rpc.channel import open_channel
from tensorhop.services.postprocess.refiners.onnx import OnnxRefiner
from tensorhop.services.postprocess.refiners.trimap import make_trimap
from tensorhop.services.postprocess.service import SERVICE
from tensorhop.v1 import image_pb2, info_pb2, info_pb2_grpc, postprocess_pb2_grpc, tensor_pb2
from tensorhop.v1 import postprocess_pb2 as pb
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size
from tensorhop.wire.messages import write_finish, write_region, write_size

SIDE = 64  # of the export
PLAIN = Finish(center=False, decontaminate=False, refine=True, shadow="none")


@pytest.fixture(scope="session")
def vitmatte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vitmatte") / "vitmatte"
    path.mkdir()
    torch.manual_seed(SEED)
    make_tiny_promptable.vitmatte(path)
    return path


@pytest.fixture(scope="session")
def exported(vitmatte: Path) -> Path:
    """The same network as a file for 64 x 64 pixels."""
    path = vitmatte.parent / "tiny.onnx"
    network = VitMatteForImageMatting.from_pretrained(vitmatte).eval()
    network.config.return_dict = False
    torch.onnx.export(
        network,
        (torch.zeros(1, 4, SIDE, SIDE),),
        str(path),
        input_names=["pixel_values"],
        output_names=["alphas"],
        opset_version=17,
        dynamo=False,
    )
    return path


def soft_disc(width: int, height: int) -> np.ndarray:
    """A mask with an edge 12 pixels wide, float32; it ends less than 16 pixels from the picture's borders."""
    y, x = np.ogrid[:height, :width]
    radius = np.hypot((x - width / 2) / (width / 2 - 8), (y - height / 2) / (height / 2 - 8))
    return np.clip((1 - radius) * min(width, height) / 2 / 12 + 0.5, 0, 1).astype(np.float32)


def by_transformers(path: Path, crop: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """The matte of a picture, float32, in the unknown pixels of its trimap; the others as the trimap has them."""
    processor = VitMatteImageProcessorPil.from_pretrained(path)
    inputs = processor(images=crop, trimaps=(trimap * 255).astype(np.float32), return_tensors="pt")
    with torch.no_grad():
        alphas = VitMatteForImageMatting.from_pretrained(path).eval()(**inputs).alphas[0, 0].numpy()
    height, width = trimap.shape
    return np.where(trimap == 0.5, alphas[:height, :width], trimap)


@pytest.mark.parametrize("size", [(200, 150), (96, 160)])
def test_the_service_answers_what_transformers_does(
    vitmatte: Path, serve: Serve, photos: list[np.ndarray], size: tuple[int, int]
) -> None:
    width, height = size
    crop, alpha = np.ascontiguousarray(photos[1][100 : 100 + height, 50 : 50 + width]), soft_disc(*size)
    expected = by_transformers(vitmatte, crop, make_trimap(alpha))
    assert np.abs(expected - alpha).mean() > 0.02, "the network says something"
    address, model = serve(SERVICE, vitmatte)
    with StepClient({"postprocess": address}) as client:
        cutout = client.postprocess(crop, alpha, finish=PLAIN)
    found = np.zeros((height, width), np.uint8)
    found[cutout.cutout.region.slices] = cutout.cutout.pixels[..., 3]
    assert np.abs(found - expected * 255).max() <= 0.51, "rounded to 255ths"
    assert model.name == str(vitmatte)


def test_refine_is_an_option_and_the_answer_names_the_network(
    vitmatte: Path, serve: Serve, photos: list[np.ndarray]
) -> None:
    alpha = soft_disc(160, 120)
    crop = np.ascontiguousarray(photos[1][:120, :160])
    address, _ = serve(SERVICE, vitmatte)
    answers = []
    with open_channel(address) as channel:
        stub = postprocess_pb2_grpc.PostprocessServiceStub(channel)
        for refine in (True, False):
            finish = Finish(center=False, decontaminate=False, refine=refine, shadow="none")
            request = pb.PostprocessRequest(
                crop=image_pb2.Image(tensor=tensor_of(crop, "UINT8")),
                mask=image_pb2.Mask(alpha=tensor_of(alpha, "FP32"), region=write_region(Region(0, 0, 160, 120))),
                photo=write_size(Size(160, 120)),
                finish=write_finish(finish),
            )
            answers.append(stub.Postprocess(request))
        info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest())
    refined, plain = answers
    assert refined.model.name == info.model.name == str(vitmatte)
    assert refined.model.digest == info.model.digest != ""
    assert not plain.HasField("model")
    pixels = np.frombuffer(plain.cutout.pixels.data, np.uint8).reshape(plain.cutout.pixels.shape)
    assert np.abs(pixels[..., 3] - alpha[pixels_of(plain)] * 255).max() <= 0.51


def tensor_of(array: np.ndarray, dtype: str) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(dtype=dtype, shape=array.shape, data=array.tobytes())


def pixels_of(answer: Any) -> tuple[slice, slice]:
    region = answer.cutout.region
    return slice(region.y0, region.y1), slice(region.x0, region.x1)


def test_a_large_piece_is_seen_at_1024_pixels(vitmatte: Path, photos: list[np.ndarray]) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(vitmatte), device="cpu"))
    seen = []
    run = model.alphas
    model.alphas = lambda picture: seen.append(picture.shape) or run(picture)
    large = cv2.resize(photos[1], (1800, 1200))
    refined = model.refine(large, soft_disc(1800, 1200))
    assert refined.shape == (1200, 1800)
    assert refined.dtype == np.float32
    assert seen == [(4, 683, 1024)]


def test_a_file_answers_what_its_checkpoint_does(exported: Path, vitmatte: Path, photos: list[np.ndarray]) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(exported), device="cpu"))
    crop, alpha = np.ascontiguousarray(photos[1][100:164, 200:264]), soft_disc(SIDE, SIDE)
    expected = by_transformers(vitmatte, crop, make_trimap(alpha))
    assert np.abs(model.refine(crop, alpha) - expected).max() < 1e-4
    stretched = model.refine(np.ascontiguousarray(photos[1][:150, :200]), soft_disc(200, 150))
    assert stretched.shape == (150, 200)
    assert 0 <= stretched.min() < stretched.max() <= 1


def test_a_published_file_gets_colours_as_its_publisher_feeds_it(exported: Path, photos: list[np.ndarray]) -> None:
    choice = ModelChoice("vitmatte-small-onnx", device="cpu")
    model = OnnxRefiner(ModelSource(choice, "onnx", exported, preset=PRESETS["vitmatte-small-onnx"]))
    fed: list[np.ndarray] = []
    import tensorhop.services.postprocess.refiners.onnx as module

    run = module.run
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "run", lambda session, tensor: fed.append(tensor) or run(session, tensor))
        model.refine(np.ascontiguousarray(photos[1][100:164, 200:264]), soft_disc(SIDE, SIDE))
    np.testing.assert_array_equal(fed[0][0, :3], photos[1][100:164, 200:264].transpose(2, 0, 1) / np.float32(255))
    assert set(np.unique(fed[0][0, 3])) == {0, 0.5, 1}


def test_what_cannot_be_loaded_is_refused_in_a_sentence(vitmatte: Path, exported: Path, tmp_path: Path) -> None:
    import onnx

    folder = copied(vitmatte, tmp_path)
    (folder / "config.json").write_text('{"model_type": "sam"}')
    with pytest.raises(InvalidInput, match=r"type 'sam'; postprocess runs ViTMatte, \.onnx files$"):
        SERVICE.load(ModelChoice(str(folder), device="cpu"))
    network = onnx.load(exported)
    network.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(network, tmp_path / "three.onnx")
    with pytest.raises(InvalidInput, match=r"^--model .*three\.onnx"):
        SERVICE.load(ModelChoice(str(tmp_path / "three.onnx"), device="cpu"))


def test_too_little_memory_fails_one_request(
    vitmatte: Path, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(vitmatte), device="cpu"))
    with monkeypatch.context() as patched:
        patched.setattr(model._network, "forward", out_of_memory)
        with pytest.raises(MemoryError, match="out of memory"):
            model.refine(photos[1][:96, :96], soft_disc(96, 96))
    assert model.refine(photos[1][:96, :96], soft_disc(96, 96)).shape == (96, 96)

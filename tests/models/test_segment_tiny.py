"""Networks shaped like BiRefNet, tiny and random, by ONNX Runtime and by transformers: `make test-models`."""

import json
import logging
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageSegmentation

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.server import Server
from tensorhop.services.runtime.session import open_session, run
from tensorhop.services.segment.hub_code import HubCodeSegmenter
from tensorhop.services.segment.onnx import OnnxSegmenter
from tensorhop.services.segment.service import SERVICE
from tensorhop.v1 import image_pb2, segment_pb2, segment_pb2_grpc, tensor_pb2
from tensorhop.values.geometry import Box, size_of
from tensorhop.wire.messages import write_box

ROOT = Path(__file__).parents[2]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(scope="module", autouse=True)
def code_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """transformers copies a repository's code to its cache; not to the developer's."""
    import transformers.dynamic_module_utils as dynamic

    dynamic.HF_MODULES_CACHE = str(tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny")
    runpy.run_path(str(ROOT / "tools" / "make_tiny_segmenters.py"))["make"](out)
    return out


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(Image.open(ROOT / "examples" / "photos" / "coffee.jpg").convert("RGB"))


def source_of(path: Path, revision: str = "", **choice: object) -> ModelSource:
    return ModelSource(ModelChoice(str(path), **choice), "onnx" if path.suffix else "transformers", path, revision)  # type: ignore[arg-type]


def by_transformers(folder: Path, photo: np.ndarray, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """The mask of a whole photo, which the network sees at that width and height, by transformers and Pillow alone."""
    model = AutoModelForImageSegmentation.from_pretrained(folder, trust_remote_code=True).eval()
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)) / 255
    tensor = torch.from_numpy(((small - MEAN) / STD).transpose(2, 0, 1)[None]).float()
    with torch.no_grad():
        seen = model(tensor)[-1].sigmoid()[0, 0].numpy()
    alpha = Image.fromarray(np.rint(seen * 255).astype(np.uint8))
    return np.asarray(alpha.resize((photo.shape[1], photo.shape[0]), Image.Resampling.BICUBIC))


def test_a_bare_pth_becomes_the_weights_of_a_folder_as_documented(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of a training on several GPUs, in the folder of other published weights."""
    page = (Path(__file__).parents[2] / "docs" / "segment.md").read_text()
    (recipe,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "BiRefNet.pth" in block]
    weights = load_file(tiny / "tiny-birefnet" / "model.safetensors")
    shutil.copytree(tiny / "tiny-birefnet", tmp_path / "BiRefNet")
    save_file({name: 0 * value for name, value in weights.items()}, tmp_path / "BiRefNet" / "model.safetensors")
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "BiRefNet.pth")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="which holds weights but not their network"):
        SERVICE.load_model(ModelChoice("BiRefNet.pth"))
    exec(recipe, {})
    tensors = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    made, expected = (
        HubCodeSegmenter(source_of(folder, trust_remote_code=True)).probabilities(tensors)
        for folder in (tmp_path / "BiRefNet", tiny / "tiny-birefnet")
    )
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("name", ["free.onnx", "fixed.onnx", "tiny-birefnet"])
def test_the_service_answers_what_transformers_does(tiny: Path, photo: np.ndarray, name: str) -> None:
    height, width = photo.shape[:2]
    choice = ModelChoice(str(tiny / name), trust_remote_code=not name.endswith(".onnx"))
    server = Server(SERVICE, SERVICE.load(choice), "127.0.0.1:0")
    tensor = tensor_pb2.Tensor(dtype="UINT8", shape=photo.shape, data=photo.tobytes())
    request = segment_pb2.SegmentRequest(
        image=image_pb2.Image(tensor=tensor), boxes=[write_box(Box(0, 0, width, height))]
    )
    with open_channel(server.address) as channel:
        (answer,) = segment_pb2_grpc.SegmentServiceStub(channel).Segment(request)
    server.stop(0).wait()
    region, alpha = answer.mask.region, answer.mask.alpha
    found = np.zeros((height, width), np.uint8)
    found[region.y0 : region.y1, region.x0 : region.x1] = np.frombuffer(alpha.data, np.uint8).reshape(alpha.shape)
    expected = by_transformers(tiny / "tiny-birefnet", photo)
    assert expected.std() > 5, "the network tells something apart"
    assert np.abs(found.astype(int) - expected).max() <= 1, "a rounding apart"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("BiRefNet_HR", (2048, 2048)),
        ("BiRefNet_HR-matting", (2048, 2048)),
        ("BiRefNet_lite-2K", (2560, 1440)),
        ("BiRefNet_dynamic", (608, 384)),
    ],
)
def test_networks_run_at_the_sizes_of_their_authors(
    tiny: Path, tmp_path: Path, photo: np.ndarray, name: str, size: tuple[int, int]
) -> None:
    folder = tmp_path / name
    shutil.copytree(tiny / "tiny-birefnet", folder)
    (folder / "preprocessor_config.json").unlink()  # as their authors publish them
    model: Any = SERVICE.load_model(ModelChoice(str(folder), device="cpu", trust_remote_code=True))
    height, width = photo.shape[:2]
    (mask,) = model.predict([photo], [Box(0, 0, width, height)])
    found = np.zeros((height, width), np.uint8)
    found[mask.region.slices] = mask.alpha
    expected = by_transformers(folder, photo, size)
    assert np.abs(found.astype(int) - expected).max() <= 1, "a rounding apart"
    assert np.abs(expected.astype(int) - by_transformers(folder, photo)).mean() > 1, "the size counts"


@pytest.mark.parametrize("name", ["free.onnx", "fixed.onnx", "tiny-birefnet"])
def test_a_batch_answers_as_each_alone(tiny: Path, photo: np.ndarray, name: str) -> None:
    kind = OnnxSegmenter if name.endswith(".onnx") else HubCodeSegmenter
    model = kind(source_of(tiny / name, trust_remote_code=True))
    assert model.largest_batch == 1, "on the CPU"
    if name != "fixed.onnx":
        model.largest_batch = 4
        tensors = np.random.default_rng(1).standard_normal((3, 3, 64, 64), np.float32)
        together = model.probabilities(tensors)
        for tensor, answer in zip(tensors, together, strict=True):
            assert np.abs(model.probabilities(tensor[None])[0] - answer).max() < 1e-4
    boxes = [Box(77, 18, 480, 390), Box(0, 0, 600, 400), Box(300, 100, 500, 350)]
    masks = model.predict([photo] * 3, boxes)
    again = model.predict([photo] * 3, boxes)
    for mask, same, box in zip(masks, again, boxes, strict=True):
        mask.check(size_of(photo))
        (alone,) = model.predict([photo], [box])
        assert mask.region == same.region == alone.region
        assert np.array_equal(mask.alpha, same.alpha)
        assert np.abs(mask.alpha.astype(int) - alone.alpha).max(initial=0) <= 1


def test_half_precision_is_near(tiny: Path) -> None:
    tensors = np.random.default_rng(1).standard_normal((1, 3, 64, 64), np.float32)
    full, half = (
        HubCodeSegmenter(source_of(tiny / "tiny-birefnet", trust_remote_code=True, dtype=dtype)).probabilities(tensors)
        for dtype in ("float32", "bfloat16")
    )
    assert half.dtype == np.float32
    assert 0 < np.abs(full - half).max() < 0.05


def test_the_files_logits_are_found_out(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        model = OnnxSegmenter(source_of(tiny / "free.onnx"))
    assert model.input_format.logits
    assert "logits=True" in caplog.text


def test_code_runs_only_where_the_operator_says_so(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trap"
    shutil.copytree(tiny / "tiny-birefnet", folder)
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    (folder / "configuration_tiny.py").write_text(trap + (folder / "configuration_tiny.py").read_text())
    with pytest.raises(InvalidInput, match=r"^--model .* read it, then add --trust-remote-code"):
        HubCodeSegmenter(source_of(folder))
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = "someone/else--configuration_tiny.TinyConfig"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match=r"would run code of another repository: someone/else--"):
        HubCodeSegmenter(source_of(folder, trust_remote_code=True))
    assert not (tmp_path / "ran").exists()


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0 nonsense")


def lose_weights(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    kept = {name: array for name, array in load_file(path).items() if name != "outer.weight"}
    save_file(kept, path, metadata={"format": "pt"})


def drop_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def break_code(folder: Path) -> None:
    path = folder / "modeling_tiny.py"
    path.write_text(path.read_text() + "\nimport a_package_that_is_not_there\n")


def drop_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "tiny-birefnet"}')


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def answer_otherwise(folder: Path) -> None:
    path = folder / "modeling_tiny.py"
    path.write_text(path.read_text().replace("return [coarse,", "return [coarse, pictures.mean()] or [coarse,"))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (break_weights, "cannot be loaded: "),
        (lose_weights, "lacks weights that its code wants: outer.weight"),
        (drop_weights, "has no weights"),
        (break_code, "a_package_that_is_not_there"),
        (drop_code, "without code of its own"),
        (break_config, "cannot be loaded (JSONDecodeError"),
        (answer_otherwise, "cannot be run: "),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_a_sentence(tiny: Path, tmp_path: Path, harm, words: str) -> None:
    folder = tmp_path / harm.__name__
    shutil.copytree(tiny / "tiny-birefnet", folder)
    harm(folder)
    with pytest.raises(InvalidInput) as caught:
        SERVICE.load(ModelChoice(str(folder), trust_remote_code=True))
    assert caught.value.field == "--model"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^--device is cuda, and this machine shows 0 GPUs; use cpu"):
        HubCodeSegmenter(source_of(tiny / "tiny-birefnet", trust_remote_code=True, device="cuda"))


def test_other_shapes_are_refused(tiny: Path, tmp_path: Path) -> None:
    make_onnx = runpy.run_path(str(ROOT / "tools" / "make_tiny_segmenters.py"))["make_onnx"]
    make_onnx(tmp_path / "four.onnx", 4)
    with pytest.raises(
        InvalidInput, match=r"^--model .*four\.onnx takes batches of 4 only; export it with 1 or a free"
    ):
        OnnxSegmenter(source_of(tmp_path / "four.onnx"))
    network = onnx.load(tiny / "free.onnx")
    network.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    network.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "inner.weight")
    )
    onnx.save(network, tmp_path / "rgba.onnx")
    with pytest.raises(InvalidInput, match=r"rgba\.onnx takes picture \['batch', 4, 64, 64\] tensor\(float\); a segm"):
        OnnxSegmenter(source_of(tmp_path / "rgba.onnx"))


def test_a_network_too_large_for_the_memory(tiny: Path, tmp_path: Path) -> None:
    """ONNX Runtime's real refusal: the answer would have a terabyte."""
    network = onnx.load(tiny / "free.onnx")
    (scales,) = (each for each in network.graph.initializer if each.name == "scales")
    scales.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, 2**14, 2**14], np.float32), "scales"))
    for dimension in network.graph.output[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_param = "free"
    onnx.save(network, tmp_path / "huge.onnx")
    with pytest.raises(InvalidInput, match=r"huge\.onnx cannot be loaded: the device is out of memory"):
        OnnxSegmenter(source_of(tmp_path / "huge.onnx"))
    session = open_session(tmp_path / "huge.onnx")
    with pytest.raises(MemoryError, match="the device is out of memory"):
        run(session, np.zeros((1, 3, 64, 64), np.float32))

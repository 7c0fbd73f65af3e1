"""Checkpoints that cannot be served: one sentence says what is wrong with which, and nothing starts."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import copied, out_of_memory

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.rpc.service import Service
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.services.detect.service import SERVICE as DETECT


def refusal(service: Service, path: Path, **choice: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        service.load(ModelChoice(str(path), **{"device": "cpu", **choice}))
    assert caught.value.field in ("--model", "--device", "--dtype")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert f"there is no file or folder {tmp_path}/none" in refusal(DETECT, tmp_path / "none")


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert "config.json" in refusal(DETECT, tmp_path)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "holds no tokenizer"),
        ("processor_config.json", "holds no processor configuration"),
    ],
)
@pytest.mark.parametrize("name", ["blip", "blip2", "grounding-dino"])
def test_a_missing_file(checkpoints: dict, tmp_path: Path, name: str, file: str, said: str) -> None:
    path = copied(checkpoints[name], tmp_path)
    (path / file).unlink()
    assert said in refusal(DETECT if name == "grounding-dino" else DESCRIBE, path)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "processor_config.json", "model.safetensors"])
@pytest.mark.parametrize("name", ["blip", "grounding-dino"])
def test_a_broken_file(checkpoints: dict, tmp_path: Path, name: str, file: str) -> None:
    path = copied(checkpoints[name], tmp_path)
    (path / file).write_bytes((path / file).read_bytes()[:100])
    message = refusal(DETECT if name == "grounding-dino" else DESCRIBE, path)
    assert "cannot be loaded" in message
    assert "get its files again" in message


def test_weights_of_which_some_are_missing(checkpoints: dict, tmp_path: Path) -> None:
    path = copied(checkpoints["blip"], tmp_path)
    weights = load_file(path / "model.safetensors")
    name = next(name for name in weights if name.startswith("vision_model.encoder.layers.1"))
    del weights[name]
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    assert name in refusal(DESCRIBE, path)


def test_weights_of_another_shape(checkpoints: dict, tmp_path: Path) -> None:
    path = copied(checkpoints["grounding-dino"], tmp_path)
    weights = load_file(path / "model.safetensors")
    weights["model.text_projection.weight"] = torch.zeros(5, 5)
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    assert "cannot be loaded" in refusal(DETECT, path)


def test_a_network_of_another_service(checkpoints: dict) -> None:
    assert "a network of the type 'blip' without code of its own" in refusal(DETECT, checkpoints["blip"])
    message = refusal(DESCRIBE, checkpoints["grounding-dino"])
    assert "a network of the type 'grounding-dino'" in message
    assert "; describe runs AutoModelForImageTextToText's, such as BLIP" in message


def test_devices_and_number_types_that_are_not_there(checkpoints: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    path = checkpoints["grounding-dino"]
    assert "--device is cuda, and this machine shows 0 GPUs" in refusal(DETECT, path, device="cuda")
    assert "--device is 'tpu'" in refusal(DETECT, path, device="tpu")
    assert "--dtype is 'int4'; it must be auto, float32" in refusal(DETECT, path, dtype="int4")


def test_a_package_that_is_not_installed(chatters: dict, checkpoints: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("accelerate", "bitsandbytes"):
        monkeypatch.setitem(sys.modules, name, None)
    message = refusal(DESCRIBE, checkpoints["blip"], dtype="nf4")
    assert "--dtype nf4 needs accelerate and bitsandbytes; install with: " in message
    assert "bitsandbytes>=" in message
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    message = refusal(DESCRIBE, chatters["smolvlm2"])
    assert "needs a package that is not installed (Package `num2words` is required" in message

    def wants_torchvision(*_: object, **__: object) -> None:
        raise ValueError("it requires `torchvision` to be installed. Please install it.")

    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", wants_torchvision)
    message = refusal(DESCRIBE, checkpoints["blip"])
    assert "needs a package that is not installed (it requires `torchvision`" in message


def test_a_network_that_does_not_fit_the_device(checkpoints: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.Module.to", out_of_memory)
    assert "does not fit into the memory of cpu" in refusal(DETECT, checkpoints["grounding-dino"])


def test_a_network_that_does_not_run_in_the_memory_there_is(checkpoints: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.GroundingDinoForObjectDetection.forward", out_of_memory)
    assert "does not fit into memory: cpu is out of memory" in refusal(DETECT, checkpoints["grounding-dino"])


def test_a_network_that_does_not_write_about_a_photo(checkpoints: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def wants_text(*_: object, **__: object) -> None:
        raise ValueError("You have to specify text")

    monkeypatch.setattr("transformers.BlipProcessor.__call__", wants_text)
    message = refusal(DESCRIBE, checkpoints["blip"])
    assert "is a blip network and does not write about a photo (You have to specify text)" in message

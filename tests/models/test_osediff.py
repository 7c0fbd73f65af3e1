"""OSEDiff on a small checkpoint of the true layout, against its equation, with adapters run beside the layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import grpc
import make_tiny_osediff
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from support import Serve
from transformers import AutoTokenizer, CLIPTextModel

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice, find_model
from tensorhop.services.upscale.alignment import adain
from tensorhop.services.upscale.options import UpscaleOptions
from tensorhop.services.upscale.osediff import OseDiff
from tensorhop.services.upscale.service import SERVICE
from tensorhop.v1 import upscale_pb2 as pb
from tensorhop.v1.upscale_pb2_grpc import UpscaleServiceStub

LEAST = 64  # pixels that the small networks see at least


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_osediff.make(tmp_path_factory.mktemp("osediff"))["osediff"]


def opened(folder: Path, **sizes: int) -> OseDiff:
    source = find_model("upscale", ModelChoice(str(folder), "cpu"), SERVICE.models)
    return OseDiff(source, **({"least_side": LEAST} | sizes))


@pytest.fixture(scope="module")
def model(folder: Path) -> OseDiff:
    return opened(folder)


def adapted(network: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Each adapter as two layers beside the one that it adapts, as peft has them: what they give is added."""
    for key, down in tensors.items():
        if "lora_A" not in key:
            continue
        layer = network.get_submodule(key.split(".lora_A")[0])
        up = tensors[key.replace("lora_A", "lora_B")]

        def add(layer: Any, given: tuple, answer: torch.Tensor, down: Any = down, up: Any = up) -> torch.Tensor:
            function = torch.nn.functional
            if isinstance(layer, torch.nn.Linear):
                return answer + 8 / 4 * function.linear(function.linear(given[0], down), up)
            inside = function.conv2d(given[0], down, stride=layer.stride, padding=layer.padding)
            return answer + 8 / 4 * function.conv2d(inside, up)

        layer.register_forward_hook(add)
    return network.eval()


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> Callable[[np.ndarray, str], np.ndarray]:
    """The equation, on a picture that is enlarged already and has sides that divide by 64."""
    content = torch.load(folder / "osediff.pkl", weights_only=True)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    with torch.no_grad():
        unet.conv_in.weight.copy_(content["state_dict_unet"]["conv_in.base_layer.weight"])
    adapted(unet, content["state_dict_unet"])
    vae = adapted(AutoencoderKL.from_pretrained(folder / "vae"), content["state_dict_vae"])
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    alpha = DDPMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod[999]

    @torch.no_grad()
    def run(large: np.ndarray, prompt: str) -> np.ndarray:
        tokens = tokenizer(prompt, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids
        pixels = torch.tensor(large.transpose(2, 0, 1)[None] / 127.5 - 1, dtype=torch.float32)
        moments = vae.quant_conv(vae.encoder(pixels))
        z = moments[:, :4] * 0.18215
        e = unet(z, torch.tensor([999]), encoder_hidden_states=encoder(tokens).last_hidden_state).sample
        x = (z - (1 - alpha).sqrt() * e) / alpha.sqrt()
        out = vae.decoder(vae.post_quant_conv(x / 0.18215))[0].clamp(-1, 1)
        return ((out + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()

    return run


@pytest.mark.parametrize("prompt", ["", "a red cup on a table " * 4])
@pytest.mark.parametrize("scale", [2, 4])
def test_it_is_the_equation(model: OseDiff, photos: list, by_hand: Callable, prompt: str, scale: int) -> None:
    image = np.ascontiguousarray(photos[0][100 : 100 + 128 // scale, 200 : 200 + 192 // scale])
    (found,) = model.predict([image], UpscaleOptions(scale=scale, prompt=prompt))
    expected = by_hand(cv2.resize(image, (192, 128), interpolation=cv2.INTER_CUBIC), prompt)
    assert found.dtype == np.uint8
    assert expected.std() > 10
    assert np.abs(found.astype(int) - expected).max() <= 1
    (again,) = model.predict([image], UpscaleOptions(scale=scale, prompt=prompt))
    assert np.array_equal(found, again)


def test_the_adapters_and_the_prompt_matter(model: OseDiff, photos: list, folder: Path, tmp_path: Path) -> None:
    image = photos[0][:40, :40]
    one, other = (model.predict([image], UpscaleOptions(prompt=prompt))[0] for prompt in ("a dog", "a red cup"))
    assert not np.array_equal(one, other)
    without = copied(folder, tmp_path)
    content = torch.load(folder / "osediff.pkl", weights_only=True)
    for tensors in (content["state_dict_unet"], content["state_dict_vae"]):
        tensors |= {key: torch.zeros_like(value) for key, value in tensors.items() if "lora_B" in key}
    (without / "osediff.pkl").unlink()
    torch.save(content, without / "osediff.pkl")
    plain = opened(without)
    assert not np.array_equal(plain.predict([image], UpscaleOptions(prompt="a dog"))[0], one)
    assert plain.digest != model.digest


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (37, 51), (70, 33)])
def test_odd_sizes(model: OseDiff, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    (found,) = model.predict([image], UpscaleOptions(scale=2))
    assert found.shape == (2 * shape[0], 2 * shape[1], 3)


def test_tiles_show_no_seam(folder: Path, photos: list) -> None:
    """A jump at the edge of a tile would stand out among the differences of neighbours."""
    image = cv2.resize(photos[1], (150, 70), interpolation=cv2.INTER_AREA)
    (found,) = opened(folder, tile=128, overlap=32).predict([image], UpscaleOptions())
    assert found.shape == (140, 300, 3)
    steps = np.abs(np.diff(found.astype(int), axis=1)).mean(axis=(0, 2))
    for edge in (96, 128, 172, 224):
        assert steps[edge - 1] < 3 * np.median(steps)


def test_over_a_socket_colours_are_aligned_as_by_osediff(serve: Serve, folder: Path, photos: list, monkeypatch) -> None:
    monkeypatch.setattr("tensorhop.services.upscale.osediff.LEAST_SIDE", LEAST)
    address, model = serve(SERVICE, folder)
    model._least = LEAST
    image = np.ascontiguousarray(photos[2][:48, :64])
    request = pb.UpscaleRequest(prompt="a dog")
    for _ in range(2):
        tensor = request.images.add().tensor
        tensor.dtype, tensor.data = "UINT8", image.tobytes()
        tensor.shape.extend(image.shape)
    request.images[1].tensor.shape[0] = 47
    (result,) = model.predict([image], UpscaleOptions(prompt="a dog"))
    with grpc.insecure_channel(address) as channel:
        answers = {answer.index: answer for answer in UpscaleServiceStub(channel).Upscale(request, timeout=60)}
        request.align = pb.COLOR_ALIGN_NONE
        plain = next(answer for answer in UpscaleServiceStub(channel).Upscale(request, timeout=60) if not answer.index)
    assert answers[1].fault.field.startswith("images[1]")
    assert answers[0].model.name == str(folder)
    assert answers[0].image.data == adain(result, image).tobytes() != plain.image.data
    assert plain.image.data == result.tobytes()


def copied(folder: Path, to: Path) -> Path:
    """The folder with links to its files."""
    for file in folder.rglob("*"):
        if file.is_file():
            (to / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (to / file.relative_to(folder)).symlink_to(file)
    return to


class Harmful:
    def __reduce__(self) -> tuple:
        return print, ("code in a pickle has run",)


def _without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def _with_adapters(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        content = torch.load(folder / "osediff.pkl", weights_only=True)
        content = change(content) or content
        (folder / "osediff.pkl").unlink()
        torch.save(content, folder / "osediff.pkl")

    return write


def _v_prediction(folder: Path) -> None:
    file = folder / "scheduler" / "scheduler_config.json"
    text = file.read_text().replace('"epsilon"', '"v_prediction"')
    file.unlink()
    file.write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("osediff.pkl"), "which has no .pkl with OSEDiff's adapters"),
        (_without("unet/diffusion_pytorch_model.safetensors"), "/unet cannot be loaded"),
        (_without("vae/config.json"), "/vae cannot be loaded"),
        (_without("text_encoder/model.safetensors"), "/text_encoder cannot be loaded"),
        (_without("scheduler/scheduler_config.json"), "/scheduler cannot be loaded"),
        (lambda folder: (folder / "second.pkl").symlink_to(folder / "osediff.pkl"), "holds 2 .pkl files"),
        (_v_prediction, "predicts v_prediction, not epsilon"),
        (_with_adapters(lambda content: Harmful()), "osediff.pkl cannot be loaded (UnpicklingError)"),
        (_with_adapters(lambda content: {"a": 1}), "is no file of OSEDiff's adapters: it lacks unet_lora_encoder"),
    ],
)
def test_what_is_wrong_with_the_files_is_told(
    folder: Path, tmp_path: Path, change: Callable, said: str, capfd: pytest.CaptureFixture
) -> None:
    changed = copied(folder, tmp_path)
    change(changed)
    with pytest.raises(InvalidInput) as caught:
        opened(changed)
    assert caught.value.field == "--model"
    assert said in caught.value.message
    assert "code in a pickle" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["state_dict_vae"].pop("quant_conv.lora_A.default_encoder.weight"), "lacks 1 of the"),
        (lambda content: content["state_dict_unet"].pop("conv_out.lora_B.default_decoder.weight"), "does not fit"),
        (lambda content: content["state_dict_unet"].update({"none.lora_A.x.weight": torch.ones(4, 4)}), "does not fit"),
        (
            lambda content: content["state_dict_unet"].update({"conv_in.base_layer.weight": torch.ones(3, 3)}),
            "does not fit the unet beside it",
        ),
    ],
)
def test_adapters_of_another_network_are_refused(folder: Path, tmp_path: Path, change: Callable, said: str) -> None:
    changed = copied(folder, tmp_path)

    def edit(content: dict) -> None:
        change(content)

    _with_adapters(edit)(changed)
    with pytest.raises(InvalidInput, match=said):
        opened(changed)

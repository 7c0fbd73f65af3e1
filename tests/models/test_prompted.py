"""SAM, SAM-HQ and SAM 2, tiny and random, by their service and by transformers alone: `make test-models`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import make_tiny_promptable
import numpy as np
import pytest
import torch
from support import Serve, copied, out_of_memory
from torch.nn.functional import interpolate
from transformers import SamHQModel, SamModel
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam2 import Sam2Model

from tensorhop.client.steps import StepClient
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.services.segment.prompted import BOXES
from tensorhop.services.segment.service import SERVICE
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Mask

NAMES = ("sam", "sam-hq", "sam2")
LOADED = {"sam": SamModel, "sam-hq": SamHQModel, "sam2": Sam2Model}


@pytest.fixture(scope="session")
def promptable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories by the names in tools/make_tiny_promptable.py."""
    return make_tiny_promptable.make(tmp_path_factory.mktemp("promptable"))


def segmented(address: str, photo: np.ndarray, boxes: Sequence[Box]) -> list[Mask]:
    with StepClient({"segment": address}) as client:
        return client.segment(photo, boxes)  # type: ignore[return-value]


def by_transformers(path: Path, photo: np.ndarray, boxes: Sequence[Box]) -> list[np.ndarray]:
    """The mask of each box in the whole photo, uint8, by transformers and PyTorch alone; a box a run."""
    network = LOADED[path.name].from_pretrained(path).eval()
    height, width = photo.shape[:2]
    found = []
    for box in boxes:
        if path.name == "sam2":
            pixels, prompt = sam2_input(photo, box)
            answer = network(pixel_values=pixels, input_boxes=prompt, multimask_output=True)
            logits = interpolate(best_of(answer), (height, width), mode="bilinear")
        else:
            processor = SamImageProcessorPil.from_pretrained(path)
            inputs = processor(photo, return_tensors="pt")
            shown = inputs["reshaped_input_sizes"][0]
            scale = np.array([shown[1] / width, shown[0] / height] * 2)
            prompt = torch.from_numpy(np.array(box, np.float32) * scale)[None, None].float()
            answer = network(pixel_values=inputs["pixel_values"], input_boxes=prompt, multimask_output=True)
            (logits,) = processor.post_process_masks(
                [best_of(answer)], inputs["original_sizes"], inputs["reshaped_input_sizes"], binarize=False
            )
        found.append((logits.detach().reshape(height, width).sigmoid() * 255).round().to(torch.uint8).numpy())
    return found


def best_of(answer: Any) -> torch.Tensor:
    """Of one box's three masks, that of the best score: 1 x 1 x height x width, logits."""
    return answer.pred_masks[0, 0, answer.iou_scores[0, 0].argmax()][None, None]


def sam2_input(photo: np.ndarray, box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """As Sam2Processor makes it; tests/models/peers compares with the real one, which needs torchvision."""
    side = make_tiny_promptable.SIDE
    pixels = torch.from_numpy(photo.transpose(2, 0, 1).copy())[None]
    small = interpolate(pixels, (side, side), mode="bilinear", antialias=True).float()
    mean, std = (torch.tensor(value)[:, None, None] for value in make_tiny_promptable.IMAGENET.values())
    height, width = photo.shape[:2]
    prompt = torch.tensor(box).reshape(2, 2) * torch.tensor([side / width, side / height])
    return (small / 255 - mean) / std, prompt.reshape(1, 1, 4)


def cut(alpha: np.ndarray, box: Box) -> np.ndarray:
    """A whole mask without what is further from the box than a fifth of its sides; empty if nothing reaches 0.5."""
    region = box.padded(0.2).region().intersect(Region.of(size_of(alpha)))
    bounded = np.zeros_like(alpha)
    bounded[region.slices] = alpha[region.slices]
    return bounded if bounded.max() >= 128 else np.zeros_like(alpha)


def whole(mask: Mask, photo: np.ndarray) -> np.ndarray:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[mask.region.slices] = mask.alpha
    return alpha


def boxes_of(photo: np.ndarray, count: int, seed: int = 3) -> list[Box]:
    size, generator = size_of(photo), np.random.default_rng(seed)
    corners = np.sort(generator.uniform(0, 1, (count, 2, 2)), axis=1) * 0.9 + [[0, 0], [0.05, 0.05]]
    return [Box(*map(float, np.float32((each * size).reshape(4)))) for each in corners]


@pytest.mark.parametrize("name", NAMES)
def test_the_service_answers_what_transformers_does(
    promptable: dict[str, Path], serve: Serve, photos: list[np.ndarray], name: str
) -> None:
    address, _ = serve(SERVICE, promptable[name])
    told_apart = 0
    for photo in (photos[1], np.ascontiguousarray(photos[2].swapaxes(0, 1)[:, :300])):
        boxes = [Box(0.0, 0.0, *map(float, size_of(photo))), *boxes_of(photo, 5)]
        expected = by_transformers(promptable[name], photo, boxes)
        for mask, alpha, box in zip(segmented(address, photo, boxes), expected, boxes, strict=True):
            assert np.abs(whole(mask, photo).astype(int) - cut(alpha, box)).max() <= 1, "a rounding apart"
            told_apart += bool(cut(alpha, box).std() > 5)
    assert told_apart >= 4, "the network tells something apart"


@pytest.mark.parametrize("name", NAMES)
def test_a_photo_of_500_boxes_is_encoded_once_and_not_again(
    promptable: dict[str, Path], serve: Serve, photos: list[np.ndarray], name: str
) -> None:
    address, model = serve(SERVICE, promptable[name], dtype="float32")
    runs = []
    counting = model._network.vision_encoder.register_forward_hook(lambda *_: runs.append(1))
    boxes = boxes_of(photos[0], 500)
    first = segmented(address, photos[0], boxes)
    assert len(first) == 500
    assert len(runs) == 1
    again = segmented(address, photos[0].copy(), boxes[:20])
    assert len(runs) == 1, "another request about the same photo"
    for mask, same in zip(first, again, strict=False):
        assert mask.region == same.region
        assert np.abs(mask.alpha.astype(int) - same.alpha).max(initial=0) <= 1
    other = photos[0].copy()
    other[0, 0, 0] ^= 1
    segmented(address, other, boxes[:1])
    assert len(runs) == 2, "another photo"
    counting.remove()


def test_what_is_kept_is_bounded(promptable: dict[str, Path], photos: list[np.ndarray]) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(promptable["sam2"]), device="cpu"))
    model.predict(photos[:1], boxes_of(photos[0], 1))
    largest = model._kept.currsize / len(model._kept)
    model._kept = type(model._kept)(2.5 * largest, getsizeof=model._kept.getsizeof)
    for photo in photos:
        model.predict([photo], boxes_of(photo, 1))
    assert len(model._kept) == 2
    model._kept = type(model._kept)(0.5 * largest, getsizeof=model._kept.getsizeof)
    model.predict(photos[:1], boxes_of(photos[0], 1))
    assert not len(model._kept), "what does not fit is used once"


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_answers_as_each_alone(promptable: dict[str, Path], photos: list[np.ndarray], name: str) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(promptable[name]), device="cpu"))
    items = [(photo, box) for photo in photos[:2] for box in boxes_of(photo, BOXES + 3)]
    items = items[::2] + items[1::2]  # photos take turns
    images, boxes = zip(*items, strict=True)
    for mask, image, box in zip(model.predict(images, boxes), images, boxes, strict=True):
        mask.check(size_of(image))
        (alone,) = model.predict([image], [box])
        assert mask.region == alone.region
        assert np.abs(mask.alpha.astype(int) - alone.alpha).max(initial=0) <= 1


def test_half_precision_is_near(promptable: dict[str, Path], photos: list[np.ndarray]) -> None:
    boxes = boxes_of(photos[1], 8)
    models: list[Any] = [
        SERVICE.load_model(ModelChoice(str(promptable["sam2"]), device="cpu", dtype=dtype))
        for dtype in ("float32", "bfloat16")
    ]
    full, half = (model.predict(photos[1:2] * 8, boxes) for model in models)
    apart = [
        np.abs(whole(one, photos[1]).astype(int) - whole(other, photos[1])).mean()
        for one, other in zip(full, half, strict=True)
    ]
    assert np.median(apart) < 8


def test_a_box_without_a_thing(promptable: dict[str, Path], photos: list[np.ndarray]) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(promptable["sam2"]), device="cpu"))
    forward = model._network.forward
    model._network.forward = lambda **named: _dark(forward(**named))
    (mask,) = model.predict(photos[:1], [Box(10, 10, 90, 90)])
    assert mask.empty
    assert mask.alpha.shape == (0, 0)


def _dark(answer: Any) -> Any:
    answer.pred_masks = torch.full_like(answer.pred_masks, -3.0)
    return answer


def test_too_little_memory_fails_one_request(
    promptable: dict[str, Path], photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(promptable["sam"]), device="cpu"))
    with monkeypatch.context() as patched:
        patched.setattr(model._network, "get_image_embeddings", out_of_memory)
        with pytest.raises(MemoryError, match="out of memory"):
            model.predict(photos[:1], [Box(10, 10, 90, 90)])
    assert len(model.predict(photos[:1], [Box(10, 10, 90, 90)])) == 1


def test_what_cannot_be_loaded_is_refused_in_a_sentence(promptable: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(promptable["sam2"], tmp_path)
    (folder / "processor_config.json").unlink()
    with pytest.raises(InvalidInput, match=r"^--model .* holds no processor configuration that can be read"):
        SERVICE.load(ModelChoice(str(folder), device="cpu"))


def test_edgetam_without_timm_says_what_is_missing(promptable: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(promptable["sam2"], tmp_path)
    config = (folder / "config.json").read_text().replace('"sam2_video"', '"edgetam"')
    (folder / "config.json").write_text(config)
    with pytest.raises(InvalidInput, match=r"^--model .* needs timm and torchvision; install with: \S+ -m pip install"):
        SERVICE.load(ModelChoice(str(folder), device="cpu"))

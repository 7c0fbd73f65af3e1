"""Detectors beside GroundingDINO: what the service answers is what transformers answers when it is called by hand."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from make_tiny_detectors import LABELS, SIDE
from PIL import Image
from support import Serve, copied, out_of_memory
from test_grounding_dino import ALL, ask, detected, fault_in
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    AutoTokenizer,
    Sam3Model,
    Sam3VideoConfig,
)

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.client.steps import StepClient
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.server import Server
from tensorhop.services.detect.families import FAMILIES, detector
from tensorhop.services.detect.service import SERVICE
from tensorhop.v1 import fault_pb2
from tensorhop.values.geometry import size_of
from tensorhop.values.results import ObjectResult, Summary
from tensorhop.wire.messages import corners

PHRASES = ["Red cup", "cat", "hot dogs"]  # OWLv2, OmDet-Turbo and SAM 3 read them; the others know a label for each
GROUNDED, CLOSED = ["owlv2", "omdet-turbo", "sam3"], ["rt-detrv2", "d-fine", "rf-detr"]
each_family = pytest.mark.parametrize("name", [*GROUNDED, *CLOSED])
SIDES = (SIDE, SIDE)


Found = dict[str, Any]  # boxes, scores, and labels: which phrase


def owlv2(path: Path, image: np.ndarray) -> Found:
    processor = AutoProcessor.from_pretrained(path, backend="pil")
    network = AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    inputs = processor(images=Image.fromarray(image), text=[PHRASES], return_tensors="pt")
    inputs["pixel_values"] = inputs["pixel_values"].float()
    (found,) = processor.post_process_grounded_object_detection(
        network(**inputs), threshold=-1, target_sizes=[image.shape[:2]]
    )
    return {field: found[field] for field in ("scores", "labels", "boxes")}


def omdet_turbo(path: Path, image: np.ndarray) -> Found:
    """Their processor needs torchvision: tests/models/peers compares with it."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    pixels = AutoImageProcessor.from_pretrained(path, backend="pil")(images=Image.fromarray(image), return_tensors="pt")
    network = AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    how = {"padding": "max_length", "max_length": 77, "return_tensors": "pt"}
    classes, task = tokenizer(PHRASES, **how), tokenizer("Detect Red cup, cat, hot dogs.", **how)
    answer = network(
        pixel_values=pixels["pixel_values"],
        classes_input_ids=classes["input_ids"],
        classes_attention_mask=classes["attention_mask"],
        tasks_input_ids=task["input_ids"],
        tasks_attention_mask=task["attention_mask"],
        classes_structure=torch.tensor([3]),
    )
    scores, labels = answer.decoder_class_logits[0].sigmoid().max(dim=-1)
    x, y, width, height = answer.decoder_coord_logits[0].unbind(-1)
    size = torch.tensor([image.shape[1], image.shape[0]] * 2)
    boxes = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1) * size
    return {"scores": scores, "labels": labels, "boxes": boxes}


def closed_set(path: Path, image: np.ndarray) -> Found:
    """RF-DETR's processor needs torchvision: tests/models/peers compares with it."""
    network = AutoModelForObjectDetection.from_pretrained(path).eval()
    if network.config.model_type == "rf_detr":
        processor = AutoImageProcessor.from_pretrained(path.parent / "rt-detrv2", backend="pil")
        normal = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        pixels = torch.from_numpy(normal.transpose(2, 0, 1)[None]).float()
        inputs: Any = {"pixel_values": torch.nn.functional.interpolate(pixels, SIDES, mode="bilinear")}
    else:
        processor = AutoImageProcessor.from_pretrained(path, backend="pil")
        inputs = processor(images=Image.fromarray(image), return_tensors="pt")
    (found,) = processor.post_process_object_detection(network(**inputs), threshold=-1, target_sizes=[image.shape[:2]])
    phrase_of = {LABELS.index(label): index for index, label in enumerate(("cup", "cat", "hot dog"))}
    known = torch.tensor([int(label) in phrase_of for label in found["labels"]])
    found = {field: values[known] for field, values in found.items()}
    return {**found, "labels": torch.tensor([phrase_of[int(label)] for label in found["labels"]])}


def sam3(path: Path, image: np.ndarray) -> Found:
    """Their processor needs torchvision: tests/models/peers compares with it."""
    tokenizer, network = AutoTokenizer.from_pretrained(path), Sam3Model.from_pretrained(path).eval()
    small = np.array(Image.fromarray(image).resize(SIDES, Image.Resampling.BILINEAR), np.float32) / 255
    pixels = torch.from_numpy(((small - 0.5) / 0.5).transpose(2, 0, 1)[None])
    found: dict[str, list[torch.Tensor]] = {"scores": [], "labels": [], "boxes": [], "masks": []}
    for index, phrase in enumerate(PHRASES):
        tokens = tokenizer([phrase], padding="max_length", max_length=32, return_tensors="pt")
        answer = network(pixel_values=pixels, **tokens)
        found["scores"].append((answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0])
        found["labels"].append(torch.full((answer.pred_logits.shape[1],), index))
        found["boxes"].append(answer.pred_boxes[0] * torch.tensor([image.shape[1], image.shape[0]] * 2))
        masks = torch.nn.functional.interpolate(answer.pred_masks.sigmoid(), image.shape[:2], mode="bilinear")
        found["masks"].append(masks[0])
    return {field: torch.cat(parts) for field, parts in found.items()}


BY_HAND: dict[str, Callable[[Path, np.ndarray], Found]] = {
    "owlv2": owlv2,
    "omdet-turbo": omdet_turbo,
    "sam3": sam3,
    **dict.fromkeys(CLOSED, closed_set),
}


@each_family
def test_the_service_finds_what_transformers_finds(serve: Serve, detectors: dict, photos: list, name: str) -> None:
    address, _ = serve(SERVICE, detectors[name])
    for photo in photos[:2]:
        with torch.no_grad():
            found = BY_HAND[name](detectors[name], photo)
        expected = in_photo({field: values.numpy() for field, values in found.items()}, photo)
        answer = ask(address, photo, PHRASES, **ALL)
        assert len(answer.detections) == len(expected["scores"]) > 0
        for rank, one in enumerate(answer.detections):
            assert one.index == rank
            assert one.label == PHRASES[one.phrase_index]
            assert one.phrase_index == expected["labels"][rank]
            assert one.score == pytest.approx(expected["scores"][rank], abs=1e-4)
            np.testing.assert_allclose(corners(one.box), expected["boxes"][rank], atol=1e-3)
            assert not one.unknown_phrase
            assert not one.HasField("mask")


def in_photo(found: dict[str, np.ndarray], photo: np.ndarray) -> dict[str, np.ndarray]:
    """Boxes clipped to the photo, best first; without those whose middle is beyond it, in what the network pads."""
    size = np.array([photo.shape[1], photo.shape[0]])
    middle, boxes = found["boxes"].reshape(-1, 2, 2).mean(axis=1), np.clip(found["boxes"], 0, np.tile(size, 2))
    kept = (middle <= size).all(axis=1) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    order = np.flatnonzero(kept)[np.argsort(-found["scores"][kept], kind="stable")]
    return {field: values[order] for field, values in {**found, "boxes": boxes}.items()}


@each_family
def test_a_batch_finds_what_each_alone_finds(
    serve: Serve, detectors: dict, photos: list, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos of several sizes, and texts of several lengths and numbers of phrases."""
    _, model = serve(SERVICE, detectors[name])
    images = [*photos, np.ascontiguousarray(photos[0][:, ::-1]), photos[0]]
    phrases = [PHRASES, ["cat"], ["a dog"], ["cup", "red kite"], ["blue hot dog", "cat", "red person"], ["table"]]
    alone = [detected(model, image, asked, **ALL) for image, asked in zip(images, phrases, strict=True)]
    monkeypatch.setattr(model, "largest_batch", 4)
    run, together = model._run, []
    monkeypatch.setattr(model, "_run", lambda batch, least: together.append(len(batch)) or run(batch, least))
    for (found, _), expected in zip(model.predict(images, phrases, **ALL), alone, strict=True):
        assert [one.label for one in found] == [one.label for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            np.testing.assert_allclose(one.box, other.box, atol=1e-2)
            if name == "sam3":
                assert one.mask is not None
                assert other.mask is not None
                assert one.mask.region == other.mask.region
                assert np.abs(one.mask.alpha.astype(int) - other.mask.alpha).max() <= 1
    assert max(together) > 1
    assert sum(together) == 6


@each_family
def test_the_same_call_gives_the_same_answer(serve: Serve, detectors: dict, photos: list, name: str) -> None:
    address, _ = serve(SERVICE, detectors[name])
    answers = [ask(address, photos[2], PHRASES, **ALL) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].detections


@each_family
@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3)])
def test_odd_sizes(serve: Serve, detectors: dict, name: str, shape: tuple[int, int]) -> None:
    _, model = serve(SERVICE, detectors[name])
    height, width = shape
    for one in detected(model, np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8), ["cat"], **ALL):
        assert 0 <= one.box.x0 < one.box.x1 <= width
        assert 0 <= one.box.y0 < one.box.y1 <= height
        assert 0 <= one.score <= 1


@each_family
def test_bfloat16_runs(serve: Serve, detectors: dict, photos: list, name: str) -> None:
    _, model = serve(SERVICE, detectors[name], dtype="bfloat16")
    found = detected(model, photos[0], [*PHRASES, "sofa"], **ALL)
    assert found
    assert {one.label for one in found} <= {*PHRASES, "sofa"}


@each_family
def test_out_of_memory_fails_one_request(
    serve: Serve, detectors: dict, photos: list, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, model = serve(SERVICE, detectors[name])
    with monkeypatch.context() as patch:
        patch.setattr(model._checkpoint.network, "forward", out_of_memory)
        fault = fault_in(address, photos[0], PHRASES)
    assert (fault.code, fault.retryable) == (fault_pb2.CODE_RESOURCE_EXHAUSTED, True)
    assert ask(address, photos[0], PHRASES, **ALL).detections


@pytest.mark.parametrize(("name", "most"), [("owlv2", 16), ("omdet-turbo", 77), ("sam3", 32)])
def test_a_phrase_that_is_too_long_loses_its_end(
    serve: Serve, detectors: dict, photos: list, name: str, most: int
) -> None:
    _, model = serve(SERVICE, detectors[name])
    phrase = "cat " * 80
    ((found, warnings),) = model.predict([photos[0]], [["cup", phrase]], **ALL)
    assert warnings == [f"The model reads {most} tokens of a phrase, and {phrase!r} has 82: its end was left out."]
    assert {one.label for one in found} <= {"cup", phrase}
    ((_, warnings),) = model.predict([photos[0]], [["cat " * (most - 2)]], **ALL)
    assert warnings == []


# Networks with a fixed list of labels.


@pytest.mark.parametrize("name", CLOSED)
def test_a_phrase_without_a_label_is_answered_with_the_other_labels(
    serve: Serve, detectors: dict, photos: list, name: str
) -> None:
    address, _ = serve(SERVICE, detectors[name])
    known = ask(address, photos[0], ["a man", "cat"], **ALL)
    assert (list(known.warnings), any(one.unknown_phrase for one in known.detections)) == ([], False)
    answer = ask(address, photos[0], ["cat", "Sofa"], **ALL)
    assert list(answer.warnings) == [
        "The model knows 6 labels, and none for 'Sofa'; it answers with the objects of labels that no phrase names."
    ]
    assert {(one.label, one.unknown_phrase) for one in answer.detections} <= {("cat", False), ("Sofa", True)}
    assert any(one.unknown_phrase for one in answer.detections)
    assert len(ask(address, photos[0], ["cat"], **ALL).detections) < len(answer.detections)


# Masks.


def test_masks_come_with_their_boxes_where_they_are_asked_for(serve: Serve, detectors: dict, photos: list) -> None:
    for name in ("sam3", "owlv2"):
        address, model = serve(SERVICE, detectors[name])
        with StepClient({"detect": address}) as steps:
            found = steps.detect(photos[0], PHRASES, **ALL, masks=True).detections
        for one, other in zip(found, detected(model, photos[0], PHRASES, **ALL), strict=True):
            assert one == other
            assert (one.mask is not None) == (other.mask is not None) == (name == "sam3")
            if one.mask and other.mask:
                assert one.mask.region == other.mask.region
                np.testing.assert_array_equal(one.mask.alpha, other.mask.alpha)


def test_masks_are_those_of_transformers(serve: Serve, detectors: dict, photos: list) -> None:
    _, model = serve(SERVICE, detectors["sam3"])
    for photo in photos[:2]:
        with torch.no_grad():
            expected = in_photo(
                {field: values.numpy() for field, values in sam3(detectors["sam3"], photo).items()}, photo
            )
        found = detected(model, photo, PHRASES, **ALL)
        for one, mask in zip(found, expected["masks"], strict=True):
            assert one.mask is not None
            assert one.mask.alpha.dtype == np.uint8
            one.mask.check(size_of(photo))
            whole = np.zeros(photo.shape[:2], np.uint8)
            whole[one.mask.region.slices] = one.mask.alpha
            outside = np.ones_like(whole, bool)
            outside[one.mask.region.slices] = False
            assert np.abs(whole[~outside] - 255 * mask[~outside]).max() <= 1
            assert mask[outside].max(initial=0) <= 0.06


def test_masks_take_so_much_memory_at_most(
    serve: Serve, detectors: dict, photos: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model = serve(SERVICE, detectors["sam3"])
    every = detected(model, photos[0], PHRASES, **ALL)
    sizes = [one.mask.alpha.nbytes for one in every if one.mask]
    monkeypatch.setattr(detector, "MASK_BYTES", sum(sizes[:3]))
    some = detected(model, photos[0], PHRASES, **ALL)
    assert [one.mask is not None for one in some] == [True] * 3 + [False] * (len(every) - 3)
    assert some == every  # but for the masks


def test_the_published_files_of_sam3_load(detectors: dict, photos: list, tmp_path: Path) -> None:
    """They hold SAM 3 as a part of its tracker for videos."""
    path = copied(detectors["sam3"], tmp_path)
    config = Sam3VideoConfig().to_dict()
    config["detector_config"] = json.loads((path / "config.json").read_text())
    config["architectures"] = ["Sam3VideoModel"]
    (path / "config.json").write_text(json.dumps(config))
    weights = {f"detector_model.{key}": value for key, value in _tensors(path).items()}
    _save(path, {**weights, "tracker_model.unused": torch.zeros(1)})
    model = SERVICE.load(ModelChoice(str(path), device="cpu")).model
    plain = SERVICE.load(ModelChoice(str(detectors["sam3"]), device="cpu")).model
    assert detected(model, photos[0], PHRASES, **ALL) == detected(plain, photos[0], PHRASES, **ALL)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(path / "model.safetensors")
    return tensors


def _save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})


def test_the_chain_needs_no_segment(serve: Serve, detectors: dict, photos: list, servers: dict, tmp_path: Path) -> None:
    """SAM 3 as detect, and no segment service: the objects are cut out, and the summary says why."""
    told = {name: servers[name].address for name in ("describe", "postprocess")}
    told |= {"detect": serve(SERVICE, detectors["sam3"])[0], "segment": f"unix:{tmp_path}/nobody"}
    steps = Steps.connect(PIPELINE, told)
    front = Server(PIPELINE, PIPELINE.make_servicer(steps), "127.0.0.1:0")
    with PipelineClient(front.address) as client:
        *events, summary = client.process(photos[1], phrases=["cat"], max_objects=2, score_threshold=0.0)
    front.stop(0).wait()
    steps.close()
    assert isinstance(summary, Summary)
    assert (summary.objects, summary.faults, summary.detect_masks) == (2, 0, 2)
    assert [step.step for step in summary.steps] == ["detect", "postprocess"]
    assert sum(isinstance(event, ObjectResult) for event in events) == 2


# What is refused.


def test_a_refusal_names_what_came_and_what_detect_runs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "yolos"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InvalidInput, match="is a network of the type 'yolos'") as caught:
        SERVICE.load(ModelChoice(str(tmp_path)))
    assert all(family.name in caught.value.message for family in FAMILIES.values())
    assert caught.value.message.count(".") == caught.value.message.count("config.json")  # one sentence


@pytest.mark.parametrize(("name", "package"), [("owlv2", "scipy"), ("omdet-turbo", "timm")])
def test_a_package_that_is_missing_is_named(
    detectors: dict, tmp_path: Path, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(detectors[name], tmp_path)
    if name == "omdet-turbo":  # the published network has timm's Swin
        config = json.loads((path / "config.json").read_text())
        config["backbone_config"] = {"model_type": "timm_backbone", "backbone": "swin_tiny_patch4_window7_224"}
        (path / "config.json").write_text(json.dumps(config))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one, *more: None if one == package else real(one, *more))
    with pytest.raises(InvalidInput, match=f"needs {package}"):
        SERVICE.load(ModelChoice(str(path), device="cpu"))


def test_a_tokenizer_that_is_missing_is_named(detectors: dict, tmp_path: Path) -> None:
    for name in ("sam3", "omdet-turbo"):
        (tmp_path / name).mkdir()
        path = copied(detectors[name], tmp_path / name)
        (path / "tokenizer.json").unlink()
        with pytest.raises(InvalidInput, match="no tokenizer"):
            SERVICE.load(ModelChoice(str(path), device="cpu"))

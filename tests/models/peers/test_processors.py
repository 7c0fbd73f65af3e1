"""Photos and answers as transformers' own processors have them that need torchvision: OmDet-Turbo, RF-DETR, SAM 3."""

from pathlib import Path

import numpy as np
import pytest
import torch
from make_tiny_detectors import LABELS
from PIL import Image
from support import Serve
from test_detectors import in_photo
from test_grounding_dino import detected
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    OmDetTurboProcessor,
    Sam3Model,
)

from tensorhop.services.detect.service import SERVICE
from tensorhop.values.results import Detection

LEVEL = 1 / 255 / 0.224  # one level of a colour, as the networks see it


def agree(found: list[Detection], expected: dict[str, np.ndarray]) -> np.ndarray:
    """The same boxes and scores, as near as pixels that differ by one level let them be; which of theirs each is."""
    assert len(found) == len(expected["scores"]) > 0
    boxes, scores = np.array([one.box for one in found]), np.array([one.score for one in found])
    distance = np.abs(boxes[:, None] - expected["boxes"]).max(axis=2)
    partner: np.ndarray = (distance + 100 * np.abs(scores[:, None] - expected["scores"])).argmin(axis=1)
    np.testing.assert_allclose(boxes, expected["boxes"][partner], atol=1.0)
    np.testing.assert_allclose(scores, expected["scores"][partner], atol=0.01)
    assert [one.phrase_index for one in found] == list(expected["labels"][partner])
    return partner


@torch.inference_mode()
def test_omdet_turbo(serve: Serve, detectors: dict[str, Path], photos: list) -> None:
    """With their suppression: for one phrase, it is ours."""
    path = detectors["omdet-turbo"]
    _, model = serve(SERVICE, path)
    parts = model._checkpoint.processor
    processor = OmDetTurboProcessor(parts.image_processor, parts.tokenizer)
    network = AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    for photo in photos[:2]:
        inputs = processor(images=Image.fromarray(photo), text=[["cat"]], return_tensors="pt")
        (theirs,) = processor.post_process_grounded_object_detection(
            network(**inputs), [["cat"]], threshold=0.1, nms_threshold=0.3, target_sizes=[photo.shape[:2]]
        )
        expected = in_photo({name: theirs[name].numpy() for name in ("scores", "labels", "boxes")}, photo)
        agree(detected(model, photo, ["cat"], score_threshold=0.1, iou_threshold=0.3), expected)


@pytest.mark.parametrize(("name", "theirs"), [("rf-detr", "RfDetrImageProcessor"), ("sam3", "Sam3ImageProcessor")])
def test_pixels(serve: Serve, detectors: dict[str, Path], photos: list, name: str, theirs: str) -> None:
    _, model = serve(SERVICE, detectors[name])
    ours = model._checkpoint.processor
    ours, reference = getattr(ours, "image_processor", ours), AutoImageProcessor.from_pretrained(detectors[name])
    assert type(reference).__name__ == theirs
    for photo in photos:
        one, other = (
            read(images=Image.fromarray(photo), return_tensors="pt")["pixel_values"] for read in (ours, reference)
        )
        assert one.shape == other.shape
        assert (one - other).abs().max() <= 1.01 * LEVEL


@torch.inference_mode()
def test_rf_detr(serve: Serve, detectors: dict[str, Path], photos: list) -> None:
    path = detectors["rf-detr"]
    _, model = serve(SERVICE, path)
    processor = AutoImageProcessor.from_pretrained(path)
    network = AutoModelForObjectDetection.from_pretrained(path).eval()
    for photo in photos[:2]:
        inputs = processor(images=Image.fromarray(photo), return_tensors="pt")
        (theirs,) = processor.post_process_object_detection(
            network(**inputs), threshold=-1, target_sizes=[photo.shape[:2]]
        )
        expected = in_photo({name: values.numpy() for name, values in theirs.items()}, photo)
        phrases = [label.partition("/")[0] for label in LABELS]
        agree(detected(model, photo, phrases, score_threshold=0.0, iou_threshold=1.0), expected)


@torch.inference_mode()
def test_sam3(serve: Serve, detectors: dict[str, Path], photos: list) -> None:
    path = detectors["sam3"]
    _, model = serve(SERVICE, path)
    processor, network = AutoProcessor.from_pretrained(path), Sam3Model.from_pretrained(path).eval()
    for photo in photos[:2]:
        inputs = processor(images=Image.fromarray(photo), text="cat", return_tensors="pt")
        (theirs,) = processor.post_process_instance_segmentation(
            network(**inputs), threshold=-1, target_sizes=[photo.shape[:2]]
        )
        expected = {name: values.numpy() for name, values in theirs.items()}
        expected = in_photo({**expected, "labels": np.zeros(len(expected["scores"]), int)}, photo)
        found = detected(model, photo, ["cat"], score_threshold=0.0, iou_threshold=1.0)
        for one, partner in zip(found, agree(found, expected), strict=True):
            assert one.mask is not None
            whole = np.zeros(photo.shape[:2], np.uint8)
            whole[one.mask.region.slices] = one.mask.alpha
            assert ((whole > 127) == expected["masks"][partner]).mean() > 0.99

"""SAM 2 and EdgeTAM as transformers runs them with torchvision, against the service's own preparation."""

from pathlib import Path
from typing import Any

import make_tiny_promptable
import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskGeneration, Sam2Processor
from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor

from tensorhop.models.sources import ModelChoice
from tensorhop.services.segment.prompt_geometry import InputFormat
from tensorhop.services.segment.service import SERVICE
from tensorhop.values.geometry import Box, size_of


@pytest.fixture(scope="session")
def promptable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_tiny_promptable.make(tmp_path_factory.mktemp("promptable"))


@pytest.mark.parametrize("side", [128, 1024])
def test_a_photo_is_prepared_as_by_transformers(photos: list[np.ndarray], side: int) -> None:
    mean, std = (tuple(three) for three in make_tiny_promptable.IMAGENET.values())
    own = InputFormat(side, False, mean, std)
    theirs = Sam2Processor(Sam2ImageProcessor(size={"height": side, "width": side}), target_size=side)
    for photo in photos:
        box = Box(10.25, 20.0, 99.5, 101.75)
        inputs = theirs(images=photo, input_boxes=[[[*box]]], return_tensors="pt")
        torch.testing.assert_close(own.prepared(photo), inputs["pixel_values"], atol=1e-6, rtol=0)
        torch.testing.assert_close(own.prompts([box], size_of(photo)), inputs["input_boxes"].float())


@pytest.mark.parametrize("name", ["sam2", "edgetam"])
def test_masks_are_those_of_transformers(promptable: dict[str, Path], photos: list[np.ndarray], name: str) -> None:
    model: Any = SERVICE.load_model(ModelChoice(str(promptable[name]), device="cpu"))
    network = AutoModelForMaskGeneration.from_pretrained(promptable[name]).eval()
    processor = Sam2Processor.from_pretrained(promptable[name])
    boxes = [Box(40.0, 30.0, 200.0, 180.0), Box(5.0, 100.0, 290.0, 295.0)]
    told_apart = 0
    for photo in photos:
        height, width = photo.shape[:2]
        for box in boxes:
            inputs = processor(images=photo, input_boxes=[[[*box]]], return_tensors="pt")
            with torch.no_grad():
                answer = network(
                    pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"], multimask_output=True
                )
            (logits,) = processor.post_process_masks(answer.pred_masks, inputs["original_sizes"], binarize=False)
            best = logits[0, answer.iou_scores[0, 0].argmax()]
            expected = (best.sigmoid() * 255).round().to(torch.uint8).numpy()
            region = box.padded(0.2).region()
            rows, columns = slice(max(region.y0, 0), region.y1), slice(max(region.x0, 0), region.x1)
            (mask,) = model.predict([photo], [box])
            found = np.zeros((height, width), np.uint8)
            found[mask.region.slices] = mask.alpha
            wanted = expected[rows, columns]
            wanted = wanted if wanted.max() >= 128 else 0 * wanted
            assert np.abs(found[rows, columns].astype(int) - wanted).max() <= 1, "a rounding apart"
            told_apart += bool(wanted.std() > 5)
    assert told_apart >= 2, "the network tells something apart"

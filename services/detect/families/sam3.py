"""Detection of the objects that phrases name, with their masks, by SAM 3, run by transformers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
import transformers
from PIL import Image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tensorhop.models.sources import ModelSource
from tensorhop.services.detect.families.detector import Prepared, ScoredBoxes, TransformersDetector
from tensorhop.services.detect.families.prompt import read_each
from tensorhop.services.runtime.checkpoint import Checkpoint, check_files, load
from tensorhop.values.geometry import Region, Size, size_of
from tensorhop.values.results import VISIBLE, Mask


class Sam3(TransformersDetector[Prepared]):
    """SAM 3 (Carion et al. 2025, arXiv:2511.16719): boxes with masks.

    The network looks for one phrase at a time, with one look at the photo. A box belongs to the phrase for which it was
    found, and its score is the network's confidence in the box times that in the phrase being in the photo at all.
    """

    score_threshold: ClassVar[float] = 0.5

    def _load(self, source: ModelSource) -> Checkpoint:
        return load(source, transformers.Sam3Model, "a SAM 3", _processor)

    def _prepare(self, image: np.ndarray, phrases: Sequence[str]) -> Prepared:
        processor, text = self._checkpoint.processor, self._checkpoint.network.text_encoder.config
        tokens, warnings = read_each(processor.tokenizer, phrases, text.max_position_embeddings)
        pixels = processor.image_processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
        inputs = {"pixel_values": pixels, **{name: tokens[name] for name in ("input_ids", "attention_mask")}}
        return Prepared(size_of(image), inputs, warnings)

    def _scored(self, batch: Sequence[Prepared], inputs: dict[str, torch.Tensor], least: float) -> list[ScoredBoxes]:
        network = self._checkpoint.network
        seen = network.get_vision_features(inputs["pixel_values"])
        found: list[list[list[np.ndarray]]] = [[] for _ in batch]  # for each phrase the corners, scores, coarse masks
        for phrase in range(inputs["input_ids"].shape[1]):
            tokens = {name: inputs[name][:, phrase] for name in ("input_ids", "attention_mask")}
            answer = network(vision_embeds=seen, **tokens)
            scores = answer.pred_logits.float().sigmoid() * answer.presence_logits.float().sigmoid()
            for place, own in enumerate(scores):
                kept = own >= least  # a phrase's coarse masks of all boxes would be 17 MB
                masks = (255 * answer.pred_masks[place][kept].float().sigmoid()).round().to(torch.uint8)
                boxes = answer.pred_boxes[place][kept].float()
                found[place].append([tensor.cpu().numpy() for tensor in (boxes, own[kept], masks)])
        return [_joined(item.size, parts) for item, parts in zip(batch, found, strict=True)]


def _joined(size: Size, parts: list[list[np.ndarray]]) -> ScoredBoxes:
    """The boxes of all phrases in a photo of that size.

    Args:
        parts: for each phrase its boxes' corners (n x 4, float32, as fractions of the photo), scores (n, float32) and
            coarse masks (n x height x width, uint8).
    """
    corners, scores, masks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    phrases = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return ScoredBoxes(corners * np.tile(np.array(size, np.float32), 2), phrases, scores, partial(_mask, masks, size))


def _mask(coarse: np.ndarray, size: Size, box: int) -> Mask | None:
    """The mask of a box in a photo of that size; None if it is empty.

    Args:
        coarse: boxes x height x width, uint8: the probability of each place of a coarse map, times 255.
    """
    resized: np.ndarray = cv2.resize(coarse[box].astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    alpha = np.rint(resized).astype(np.uint8)
    x, y, width, height = cv2.boundingRect((alpha > VISIBLE * 255).astype(np.uint8))
    if not width:
        return None
    region = Region(x, y, x + width, y + height)
    return Mask(np.ascontiguousarray(alpha[region.slices]), region)


def _processor(path: Path, options: dict[str, Any]) -> SimpleNamespace:
    """The tokenizer, and transformers' resizing with Pillow, by the numbers of the checkpoint.

    SAM 3's own processor needs torchvision, which is no part of `make models`. It resizes in the same way: the pixels
    differ by at most one of 255 levels.
    """
    check_files(path)
    return SimpleNamespace(
        tokenizer=transformers.AutoTokenizer.from_pretrained(path, **options),
        image_processor=ViTImageProcessorPil.from_pretrained(path, **options),
    )

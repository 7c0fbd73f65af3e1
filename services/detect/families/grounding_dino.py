"""Detection of the objects that phrases name by GroundingDINO, run by transformers."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.detect.families.prompt import Prompt, read
from tensorhop.services.detect.suppression import without_overlaps
from tensorhop.services.runtime.checkpoint import Checkpoint, load
from tensorhop.services.runtime.device import memory_of
from tensorhop.values.geometry import Box, Size, size_of
from tensorhop.values.results import Detection

SCORE_THRESHOLD = 0.25
IOU_THRESHOLD = 0.5
BATCH_ON_GPU = 8  # not measured: no GPU was at hand

# The largest aspect ratio: a longer photo is padded to it. The network sees the longer side at about 1,300 pixels, and
# its coarsest map has one position for every 64 pixels. A narrower strip would have no position left.
LONGEST = 16
_PADDING = (124, 116, 104)  # ImageNet's mean colour, which the network sees as zero


@dataclass(frozen=True)
class _Item:
    """One photo of a call, prepared."""

    index: int
    size: Size  # of the photo
    padded: Size  # of what the network sees of it
    pixels: torch.Tensor  # 3 x height x width
    prompt: Prompt


class GroundingDino:
    """GroundingDINO (Liu et al. 2023, arXiv:2303.05499), or MM-GroundingDINO (Zhao et al. 2024, arXiv:2401.02361).

    The network rates for each of its boxes how well each token of the text fits. A box's score for a phrase is that of
    the phrase's best token, and the box goes to the phrase with the best score. So a label is always one whole phrase
    of the caller. Joining the tokens above a threshold would give parts and mixtures of phrases.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        self._checkpoint = self._load(source)
        self._delimiters = self._checkpoint.network.model.special_tokens.tolist()
        self.largest_batch = 1 if self._checkpoint.device.type == "cpu" else BATCH_ON_GPU
        self._turn = threading.Lock()  # tokenizers are not thread-safe, and two runs at once are no faster

    def _load(self, source: ModelSource) -> Checkpoint:
        return load(source, transformers.AutoModelForZeroShotObjectDetection, "a GroundingDINO")

    def warm_up(self) -> None:
        self.predict([np.full((64, 64, 3), 127, np.uint8)], [["cat"]])

    def predict(
        self,
        images: Sequence[np.ndarray],
        phrases: Sequence[Sequence[str]],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[tuple[list[Detection], list[str]]]:
        """Find the objects that the phrases name.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            phrases: for each image what to look for, one object a phrase.
            score_threshold: the least score to report, 0 to 1; SCORE_THRESHOLD if not given.
            iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1; IOU_THRESHOLD if not given.

        Returns:
            For each image its detections, best first, and a warning if the network could not read all of the phrases.

        Raises:
            InvalidInput: there is no phrase, or one has no token that the network reads, or is too long for it.
            MemoryError: the device has too little memory.
        """
        score_threshold = SCORE_THRESHOLD if score_threshold is None else score_threshold
        iou_threshold = IOU_THRESHOLD if iou_threshold is None else iou_threshold
        found: dict[int, list[Detection]] = {}
        with self._turn:
            items = [self._prepare(*one) for one in zip(range(len(images)), images, phrases, strict=True)]
            for batch in self._batches(items):
                with memory_of(self._checkpoint.device), torch.inference_mode():
                    logits, boxes = self._run(batch)
                for item, row, places in zip(batch, logits, boxes, strict=True):
                    asked = phrases[item.index]
                    found[item.index] = detections(item, asked, row, places, score_threshold, iou_threshold)
        return [(found[item.index], item.prompt.warnings) for item in items]

    def _prepare(self, index: int, image: np.ndarray, phrases: Sequence[str]) -> _Item:
        if not phrases:
            raise InvalidInput("phrases", "is empty; name at least one object to look for")
        processor, most = self._checkpoint.processor, self._checkpoint.network.config.max_text_len
        prompt = read(processor.tokenizer, phrases, self._delimiters, most)
        seen = padded(image)
        pixels = processor.image_processor(images=Image.fromarray(seen), return_tensors="pt")["pixel_values"][0]
        return _Item(index, size_of(image), size_of(seen), pixels, prompt)

    def _batches(self, items: Sequence[_Item]) -> list[list[_Item]]:
        """Batches of photos with one size and one text length: padding a photo or its text would change its boxes."""
        groups: dict[tuple[Any, ...], list[_Item]] = defaultdict(list)
        for item in items:
            groups[(*item.pixels.shape, len(item.prompt.ids))].append(item)
        most = self.largest_batch
        return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]

    def _run(self, batch: Sequence[_Item]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (photos x boxes x tokens) and boxes (photos x boxes x 4: middle, width, height; 0 to 1), float32."""
        ids = torch.tensor([item.prompt.ids for item in batch])
        inputs = {
            "pixel_values": torch.stack([item.pixels for item in batch]),
            "input_ids": ids,
            "token_type_ids": torch.zeros_like(ids),
            "attention_mask": torch.ones_like(ids),
        }
        answer = self._checkpoint.network(**self._checkpoint.to_device(inputs))
        return answer.logits.float().cpu().numpy(), answer.pred_boxes.float().cpu().numpy()


def padded(image: np.ndarray) -> np.ndarray:
    """A photo (height x width x 3, uint8), padded at its right or lower edge if it is too narrow for the network."""
    height, width = image.shape[:2]
    below, right = max(0, -(-width // LONGEST) - height), max(0, -(-height // LONGEST) - width)
    if not (below or right):
        return image
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=_PADDING)


def detections(
    item: _Item,
    phrases: Sequence[str],
    logits: np.ndarray,
    boxes: np.ndarray,
    score_threshold: float,
    iou_threshold: float,
) -> list[Detection]:
    """The network's answer for one photo as detections, best score first.

    Args:
        item: the photo.
        phrases: the caller's.
        logits: boxes x tokens, float32.
        boxes: boxes x 4, float32: middle, width and height, as fractions of the padded photo.
        score_threshold: the least score, 0 to 1.
        iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1.

    Returns:
        Detections with one of the phrases as label, and a box in pixels, clipped to the photo.
    """
    with np.errstate(over="ignore"):  # if exp overflows, the score is 0, which is right
        tokens = 1 / (1 + np.exp(-logits))
    scores = np.stack([tokens[:, span].max(axis=1) for span in item.prompt.spans], axis=1)
    best = scores.argmax(axis=1)
    scores = scores[np.arange(len(scores)), best]
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    size, seen = np.array(item.size, np.float32), np.array(item.padded, np.float32)
    corners = np.concatenate([middle - half, middle + half], axis=1) * np.tile(seen, 2)
    in_photo = (middle * seen <= size).all(axis=1)  # not in the padding
    corners = np.clip(corners, 0, np.tile(size, 2))
    good = np.isfinite(corners).all(axis=1) & (corners[:, :2] < corners[:, 2:]).all(axis=1)
    fit = np.flatnonzero(good & in_photo & np.isfinite(scores) & (scores >= score_threshold))
    order = fit[np.argsort(-scores[fit], kind="stable")]
    kept = order[without_overlaps(corners[order], iou_threshold)]
    return [
        Detection(rank, phrases[best[one]], int(best[one]), float(scores[one]), Box(*map(float, corners[one])))
        for rank, one in enumerate(kept)
    ]

"""Detection of the objects that phrases name by GroundingDINO, run by transformers."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.models.sources import ModelSource
from tensorhop.services.detect.families.detector import Prepared, ScoredBoxes, TransformersDetector, corners_of
from tensorhop.services.detect.families.prompt import Prompt, read
from tensorhop.services.runtime.checkpoint import Checkpoint, load
from tensorhop.values.geometry import Size, size_of

# The largest aspect ratio: a longer photo is padded to it. The network sees the longer side at about 1,300 pixels, and
# its coarsest map has one position for every 64 pixels. A narrower strip would have no position left.
LONGEST = 16
_PADDING = (124, 116, 104)  # ImageNet's mean colour, which the network sees as zero


@dataclass(frozen=True, kw_only=True)
class _Prompted(Prepared):
    padded: Size  # of what the network sees of the photo
    prompt: Prompt


class GroundingDino(TransformersDetector[_Prompted]):
    """GroundingDINO (Liu et al. 2023, arXiv:2303.05499), MM-GroundingDINO (Zhao et al. 2024, arXiv:2401.02361), or
    LLMDet (Fu et al. 2025, arXiv:2501.18954).

    The network rates for each of its boxes how well each token of the text fits. A box's score for a phrase is that of
    the phrase's best token, and the box goes to the phrase with the best score. So a label is always one whole phrase
    of the caller. Joining the tokens above a threshold would give parts and mixtures of phrases.
    """

    def __init__(self, source: ModelSource) -> None:
        super().__init__(source)
        self._delimiters = self._checkpoint.network.model.special_tokens.tolist()

    def _load(self, source: ModelSource) -> Checkpoint:
        return load(source, transformers.AutoModelForZeroShotObjectDetection, "a GroundingDINO")

    def _prepare(self, image: np.ndarray, phrases: Sequence[str]) -> _Prompted:
        processor, most = self._checkpoint.processor, self._checkpoint.network.config.max_text_len
        prompt = read(processor.tokenizer, phrases, self._delimiters, most)
        seen = padded(image)
        pixels = processor.image_processor(images=Image.fromarray(seen), return_tensors="pt")["pixel_values"][0]
        ids = torch.tensor(prompt.ids)
        inputs = {
            "pixel_values": pixels,
            "input_ids": ids,
            "token_type_ids": torch.zeros_like(ids),
            "attention_mask": torch.ones_like(ids),
        }
        return _Prompted(
            size=size_of(image), inputs=inputs, warnings=prompt.warnings, padded=size_of(seen), prompt=prompt
        )

    def _scored(self, batch: Sequence[_Prompted], inputs: dict[str, torch.Tensor], least: float) -> list[ScoredBoxes]:
        answer = self._checkpoint.network(**inputs)
        logits, boxes = answer.logits.float().cpu().numpy(), answer.pred_boxes.float().cpu().numpy()
        return [scored(item, *one) for item, *one in zip(batch, logits, boxes, strict=True)]


def padded(image: np.ndarray) -> np.ndarray:
    """A photo (height x width x 3, uint8), padded at its right or lower edge if it is too narrow for the network."""
    height, width = image.shape[:2]
    below, right = max(0, -(-width // LONGEST) - height), max(0, -(-height // LONGEST) - width)
    if not (below or right):
        return image
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=_PADDING)


def scored(item: _Prompted, logits: np.ndarray, boxes: np.ndarray) -> ScoredBoxes:
    """The network's boxes for one photo, each with the phrase whose best token fits it best.

    Args:
        item: the photo.
        logits: boxes x tokens, float32.
        boxes: boxes x 4, float32: middle, width and height, as fractions of the padded photo.
    """
    with np.errstate(over="ignore"):  # if exp overflows, the score is 0, which is right
        tokens = 1 / (1 + np.exp(-logits))
    scores = np.stack([tokens[:, span].max(axis=1) for span in item.prompt.spans], axis=1)
    best = scores.argmax(axis=1)
    return ScoredBoxes(corners_of(boxes, item.padded), best, scores[np.arange(len(scores)), best])

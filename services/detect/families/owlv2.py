"""Detection of the objects that phrases name by OWLv2, run by transformers."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.models.sources import ModelSource, check_installed
from tensorhop.services.detect.families.detector import Prepared, ScoredBoxes, TransformersDetector
from tensorhop.services.detect.families.prompt import read_each
from tensorhop.services.runtime.checkpoint import Checkpoint, load
from tensorhop.values.geometry import size_of


class Owlv2(TransformersDetector[Prepared]):
    """OWLv2 (Minderer et al. 2023, arXiv:2306.09683).

    The network pads a photo to a square at its right or lower edge, and rates how well each phrase fits each place in a
    grid. A box goes to the phrase that fits best.
    """

    score_threshold: ClassVar[float] = 0.1  # its scores are low; transformers' default, too

    def _load(self, source: ModelSource) -> Checkpoint:
        check_installed(source.name, ["scipy"])  # the processor would find it missing at the first photo
        return load(source, transformers.AutoModelForZeroShotObjectDetection, "an OWLv2")

    def _prepare(self, image: np.ndarray, phrases: Sequence[str]) -> Prepared:
        processor, text = self._checkpoint.processor, self._checkpoint.network.config.text_config
        tokens, warnings = read_each(processor.tokenizer, phrases, text.max_position_embeddings)
        pixels = processor.image_processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
        inputs = {"pixel_values": pixels.float(), **{name: tokens[name] for name in ("input_ids", "attention_mask")}}
        return Prepared(size_of(image), inputs, warnings)

    def _scored(self, batch: Sequence[Prepared], inputs: dict[str, torch.Tensor], least: float) -> list[ScoredBoxes]:
        tokens = {name: inputs[name].flatten(0, 1) for name in ("input_ids", "attention_mask")}  # a row a phrase
        answer = self._checkpoint.network(pixel_values=inputs["pixel_values"], **tokens)
        answer.logits, answer.pred_boxes = answer.logits.float(), answer.pred_boxes.float()
        found = self._checkpoint.processor.post_process_grounded_object_detection(
            answer, threshold=-1, target_sizes=[(item.size.height, item.size.width) for item in batch]
        )
        return [ScoredBoxes(*(one[name].cpu().numpy() for name in ("boxes", "labels", "scores"))) for one in found]

"""Detection of the objects that phrases name by OmDet-Turbo, run by transformers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.extras import pip_install
from tensorhop.models.sources import ModelSource, check_installed
from tensorhop.services.detect.families.detector import Prepared, ScoredBoxes, TransformersDetector, corners_of
from tensorhop.services.detect.families.prompt import read_each
from tensorhop.services.runtime.checkpoint import Checkpoint, check_files, load
from tensorhop.services.runtime.families import read_config
from tensorhop.values.geometry import size_of

MOST_TOKENS = 77  # of a phrase, and of the task, as transformers' processor has it


class OmDetTurbo(TransformersDetector[Prepared]):
    """OmDet-Turbo (Zhao et al. 2024, arXiv:2403.06892).

    The network reads each phrase alone, and a task that names all of them: "Detect cup, spoon.". A box goes to the
    phrase that fits best.

    transformers' processor needs torchvision, which is no part of `make models`; its tokenizer and its image processor
    do not, and are used here. Overlaps are suppressed as for all detectors, so its own suppression is not needed.
    """

    score_threshold: ClassVar[float] = 0.3  # transformers' default, too

    def _load(self, source: ModelSource) -> Checkpoint:
        config = read_config(source)
        backbone = config.get("backbone_config") or {"model_type": "timm_backbone"}  # transformers' default
        if backbone.get("model_type") == "timm_backbone":
            packages = ("timm", "torchvision")
            check_installed(source.name, packages, partial(pip_install, *packages))
        return load(source, transformers.AutoModelForZeroShotObjectDetection, "an OmDet-Turbo", _processor)

    def _prepare(self, image: np.ndarray, phrases: Sequence[str]) -> Prepared:
        processor = self._checkpoint.processor
        classes, warnings = read_each(processor.tokenizer, phrases, MOST_TOKENS)
        task, _ = read_each(processor.tokenizer, [f"Detect {', '.join(phrases)}."], MOST_TOKENS)
        pixels = processor.image_processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
        inputs = {
            "pixel_values": pixels,
            "classes_input_ids": classes["input_ids"],
            "classes_attention_mask": classes["attention_mask"],
            "tasks_input_ids": task["input_ids"][0],
            "tasks_attention_mask": task["attention_mask"][0],
        }
        return Prepared(size_of(image), inputs, warnings)

    def _scored(self, batch: Sequence[Prepared], inputs: dict[str, torch.Tensor], least: float) -> list[ScoredBoxes]:
        count = inputs["classes_input_ids"].shape[1]
        rows = {name: tensor.flatten(0, 1) for name, tensor in inputs.items() if name.startswith("classes_")}
        structure = torch.full((len(batch),), count, device=self._checkpoint.device)
        answer = self._checkpoint.network(**{**inputs, **rows, "classes_structure": structure})
        scores, phrases = answer.decoder_class_logits[..., :count].float().sigmoid().max(dim=-1)
        boxes = answer.decoder_coord_logits.float().cpu().numpy()
        return [
            ScoredBoxes(corners_of(places, item.size), best.cpu().numpy(), score.cpu().numpy())
            for item, places, best, score in zip(batch, boxes, phrases, scores, strict=True)
        ]


def _processor(path: Path, options: dict[str, Any]) -> SimpleNamespace:
    check_files(path)
    return SimpleNamespace(
        tokenizer=transformers.AutoTokenizer.from_pretrained(path, **options),
        image_processor=transformers.AutoImageProcessor.from_pretrained(path, backend="pil", **options),
    )

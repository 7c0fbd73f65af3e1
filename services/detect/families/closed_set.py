"""Detection by networks with a fixed list of labels, run by transformers. Phrases are matched to the list."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
import transformers
from PIL import Image
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

from tensorhop.models.sources import ModelSource
from tensorhop.services.detect.families.detector import Prepared, ScoredBoxes, TransformersDetector
from tensorhop.services.detect.families.labels import Labels
from tensorhop.services.runtime.checkpoint import Checkpoint, load
from tensorhop.services.runtime.families import read_config
from tensorhop.values.geometry import size_of


@dataclass(frozen=True, kw_only=True)
class _Labelled(Prepared):
    phrase_of: np.ndarray  # labels, int: the phrase that names each, or -1


class ClosedSet(TransformersDetector[_Labelled]):
    """RT-DETR (Zhao et al. 2023, arXiv:2304.08069), RT-DETRv2 (Lv et al. 2024, arXiv:2407.17140), D-FINE (Peng et al.
    2024, arXiv:2410.13842) or RF-DETR (Robinson et al. 2025, arXiv:2511.09554).

    The network finds the objects of its labels, such as COCO's 80. A phrase stands for the labels that it names. As
    with the embedded detector, a phrase that names none is answered with the objects under all other labels, and they
    and a warning say so.
    """

    score_threshold: ClassVar[float] = 0.5  # transformers' default, too

    def __init__(self, source: ModelSource) -> None:
        super().__init__(source)
        names = self._checkpoint.network.config.id2label
        self._labels = Labels({index: str(name) for index, name in names.items()})

    def _load(self, source: ModelSource) -> Checkpoint:
        rf_detr = read_config(source).get("model_type") == "rf_detr"
        read = _rf_detr_processor if rf_detr else _processor
        return load(source, transformers.AutoModelForObjectDetection, "another detector", read)

    def _prepare(self, image: np.ndarray, phrases: Sequence[str]) -> _Labelled:
        pixels = self._checkpoint.processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
        named = [self._labels.find(phrase) for phrase in phrases]
        unknown = [index for index, labels in enumerate(named) if not labels]
        phrase_of = np.full(self._checkpoint.network.config.num_labels, unknown[0] if unknown else -1)
        for index, labels in reversed(list(enumerate(named))):  # a label goes to the first phrase that names it
            phrase_of[list(labels)] = index
        warnings = [
            f"The model knows {len(self._labels)} labels, and none for {phrases[index]!r}; "
            "it answers with the objects of labels that no phrase names."
            for index in unknown
        ]
        return _Labelled(
            size=size_of(image),
            inputs={"pixel_values": pixels},
            warnings=warnings,
            unknown=frozenset(unknown),
            phrase_of=phrase_of,
        )

    def _scored(self, batch: Sequence[_Labelled], inputs: dict[str, torch.Tensor], least: float) -> list[ScoredBoxes]:
        answer = self._checkpoint.network(**inputs)
        answer.logits, answer.pred_boxes = answer.logits.float(), answer.pred_boxes.float()
        found = RTDetrImageProcessorPil.post_process_object_detection(
            self._checkpoint.processor,  # it takes nothing from it, and RF-DETR's rule is the same
            answer,
            threshold=-1,
            target_sizes=[(item.size.height, item.size.width) for item in batch],
        )
        answers = []
        for item, one in zip(batch, found, strict=True):
            corners, labels, scores = (one[name].cpu().numpy() for name in ("boxes", "labels", "scores"))
            answers.append(ScoredBoxes(corners, item.phrase_of[labels], scores))
        return answers


def _processor(path: Path, options: dict[str, Any]) -> Any:
    return transformers.AutoImageProcessor.from_pretrained(path, backend="pil", **options)


class _RfDetrImages(DetrImageProcessorPil):  # type: ignore[misc]
    """RF-DETR's preparation of photos. Its own class needs torchvision, which is no part of `make models`.

    It is DETR's but for the resizing, which is bilinear without a filter against aliasing.
    """

    def resize(self, image: np.ndarray, size: Any, resample: Any = None, **more: Any) -> np.ndarray:
        height, width = super().resize(image, size, resample, **more).shape[-2:]
        pixels = image.transpose(1, 2, 0).astype(np.float32)
        resized: np.ndarray = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return resized.transpose(2, 0, 1)


def _rf_detr_processor(path: Path, options: dict[str, Any]) -> _RfDetrImages:
    return _RfDetrImages.from_pretrained(path, **options)

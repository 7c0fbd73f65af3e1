"""What detectors of transformers share: batches, thresholds, and detections from boxes with scores."""

import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch

from tensorhop.models.sources import ModelSource
from tensorhop.services.detect.suppression import without_overlaps
from tensorhop.services.runtime.checkpoint import Checkpoint
from tensorhop.services.runtime.device import memory_of
from tensorhop.settings import current_settings
from tensorhop.values.geometry import Box, Size
from tensorhop.values.phrases import check_any
from tensorhop.values.results import Detection, Mask

SCORE_THRESHOLD = 0.25
IOU_THRESHOLD = 0.5
BATCH_ON_GPU = 8  # not measured: no GPU was at hand
MASK_BYTES = 50_000_000  # of a photo's masks, the best first; segment makes those of the other detections
_ROUNDING = 1e-3  # pixels


@dataclass(frozen=True)
class Prepared:
    """One photo of a call, as the network takes it."""

    size: Size  # of the photo
    inputs: Mapping[str, torch.Tensor]  # by the network's names, without an axis for the batch
    warnings: list[str]
    unknown: frozenset[int] = frozenset()  # phrases that the network does not know


@dataclass(frozen=True)
class ScoredBoxes:
    """The boxes of a network for one photo, in any order."""

    corners: np.ndarray  # boxes x 4, float32: x0, y0, x1, y1 in pixels of the photo, and maybe beyond it
    phrases: np.ndarray  # boxes, int: the phrase that fits each best, or -1 for none
    scores: np.ndarray  # boxes, float32: how well, 0 to 1
    mask: Callable[[int], Mask | None] = field(default=lambda box: None)  # makes the mask of one box


P = TypeVar("P", bound=Prepared)


class TransformersDetector(ABC, Generic[P]):
    """A detector whose network transformers runs.

    Photos run together only where all their inputs have the same shapes: padding one would change its boxes.
    """

    score_threshold: ClassVar[float] = SCORE_THRESHOLD  # where the caller names none

    def __init__(self, source: ModelSource) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        self._checkpoint = self._load(source)
        self.largest_batch = 1 if self._checkpoint.device.type == "cpu" else BATCH_ON_GPU
        self._turn = threading.Lock()  # tokenizers are not thread-safe, and two runs at once are no faster

    @abstractmethod
    def _load(self, source: ModelSource) -> Checkpoint: ...

    @abstractmethod
    def _prepare(self, image: np.ndarray, phrases: Sequence[str]) -> P:
        """A photo (height x width x 3, uint8, sRGB) and at least one phrase. Raises InvalidInput."""

    @abstractmethod
    def _scored(self, batch: Sequence[P], inputs: dict[str, torch.Tensor], least: float) -> list[ScoredBoxes]:
        """Run the network on a batch.

        Args:
            batch: the photos.
            inputs: theirs, stacked, on the network's device.
            least: the least score, 0 to 1; boxes below it may be left out.
        """

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
            score_threshold: the least score to report, 0 to 1; the class's `score_threshold` if not given.
            iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1; IOU_THRESHOLD if not given.

        Returns:
            For each image its detections, best first, and warnings, such as about phrases that the network cannot read.

        Raises:
            InvalidInput: there is no phrase, or the network cannot read one.
            MemoryError: the device has too little memory.
        """
        score_threshold = self.score_threshold if score_threshold is None else score_threshold
        iou_threshold = IOU_THRESHOLD if iou_threshold is None else iou_threshold
        found: dict[int, list[Detection]] = {}
        with self._turn:
            items: list[P] = []
            for image, asked in zip(images, phrases, strict=True):
                check_any(asked)
                items.append(self._prepare(image, asked))
            for batch in self._batches(items):
                together = [items[index] for index in batch]
                for index, boxes in zip(batch, self._run(together, score_threshold), strict=True):
                    item = items[index]
                    found[index] = detections(item, phrases[index], boxes, score_threshold, iou_threshold)
        return [(found[index], item.warnings) for index, item in enumerate(items)]

    def _batches(self, items: Sequence[P]) -> list[list[int]]:
        """Places of photos that can run together."""
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            groups[tuple((name, *tensor.shape) for name, tensor in item.inputs.items())].append(index)
        most = self.largest_batch
        return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]

    def _run(self, batch: Sequence[P], least: float) -> list[ScoredBoxes]:
        inputs = {name: torch.stack([item.inputs[name] for item in batch]) for name in batch[0].inputs}
        with memory_of(self._checkpoint.device), torch.inference_mode():
            return self._scored(batch, self._checkpoint.to_device(inputs), least)


def detections(
    item: Prepared, phrases: Sequence[str], boxes: ScoredBoxes, score_threshold: float, iou_threshold: float
) -> list[Detection]:
    """A network's boxes for one photo as detections, best score first.

    Args:
        item: the photo.
        phrases: the caller's.
        score_threshold: the least score, 0 to 1.
        iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1.

    Returns:
        Detections with one of the phrases as label, and a box in pixels, clipped to the photo. A box whose middle is
        beyond the photo, in its padding, is left out. Masks take at most MASK_BYTES, and half of a message.
    """
    size, scores = np.array(item.size, np.float32), boxes.scores
    in_photo = ((boxes.corners[:, :2] + boxes.corners[:, 2:]) / 2 <= size + _ROUNDING).all(axis=1)
    corners = np.clip(boxes.corners, 0, np.tile(size, 2))
    good = np.isfinite(corners).all(axis=1) & (corners[:, :2] < corners[:, 2:]).all(axis=1) & in_photo
    fit = np.flatnonzero(good & (boxes.phrases >= 0) & np.isfinite(scores) & (scores >= score_threshold))
    order = fit[np.argsort(-scores[fit], kind="stable")]
    found, room = [], min(MASK_BYTES, current_settings().max_message_bytes // 2)
    for rank, one in enumerate(order[without_overlaps(corners[order], iou_threshold)]):
        phrase = int(boxes.phrases[one])
        mask = boxes.mask(int(one)) if room > 0 else None
        room -= mask.alpha.nbytes if mask else 0
        found.append(
            Detection(
                rank,
                phrases[phrase],
                phrase,
                float(scores[one]),
                Box(*map(float, corners[one])),
                unknown_phrase=phrase in item.unknown,
                mask=mask if room >= 0 else None,
            )
        )
    return found


def corners_of(boxes: np.ndarray, size: Size) -> np.ndarray:
    """Corners in pixels (n x 4, float32) of boxes (n x 4, float32: middle, width, height), fractions of a size."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    corners = np.concatenate([middle - half, middle + half], axis=1) * np.tile(np.array(size, np.float32), 2)
    return corners.astype(np.float32, copy=False)

"""Detection of the objects that phrases name by Florence-2, run by transformers."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.detect.families.detector import BATCH_ON_GPU, IOU_THRESHOLD
from tensorhop.services.detect.suppression import without_overlaps
from tensorhop.services.runtime.checkpoint import load
from tensorhop.services.runtime.generation import Written, prepared, write
from tensorhop.values.geometry import Box, Size, size_of
from tensorhop.values.phrases import check_any
from tensorhop.values.results import Detection

TASK = "<CAPTION_TO_PHRASE_GROUNDING>"
SCORE_THRESHOLD = 0.0  # the network writes only the boxes that it finds
LONGEST = 256  # tokens of an answer: a phrase, and about 50 boxes
BEAMS = 3  # as the authors' examples, and the published generation_config.json

_BINS = 1000  # along each side of the photo


class Florence:
    """Florence-2 (Xiao et al. 2023, arXiv:2311.06242).

    The network writes each phrase that it grounds, and after it the boxes, as four location tokens each. It is asked
    for one phrase at a time, so a label is always one whole phrase of the caller. It may divide a phrase: of "a cat on
    a table" it grounds "a cat" and "a table". Then the boxes are those of the first part, which names the object.

    A box's score is the geometric mean of the probabilities of its location tokens.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        self._checkpoint = load(source, transformers.AutoModelForImageTextToText, "a Florence-2")
        processor = self._checkpoint.processor
        vocabulary = processor.tokenizer.get_vocab()
        self._bins = {vocabulary[f"<loc_{index}>"]: index for index in range(_BINS)}
        self._marks = {*processor.tokenizer.get_added_vocab(), *processor.tasks_answer_post_processing_type}
        self._special = {*processor.tokenizer.all_special_ids}
        self.largest_batch = 1 if self._checkpoint.device.type == "cpu" else BATCH_ON_GPU
        self._turn = threading.Lock()  # tokenizers are not thread-safe, and two runs at once are no faster

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
            For each image its detections, best first, and no warnings.

        Raises:
            InvalidInput: there is no phrase, or one holds a special token or a task of the network's.
            MemoryError: the device has too little memory.
        """
        score_threshold = SCORE_THRESHOLD if score_threshold is None else score_threshold
        iou_threshold = IOU_THRESHOLD if iou_threshold is None else iou_threshold
        for asked in phrases:
            check_any(asked)
        with self._turn:
            items = [
                self._prepare(Image.fromarray(image), index, phrase)
                for image, asked in zip(images, phrases, strict=True)
                for index, phrase in enumerate(asked)
            ]
            written = iter(write(self._checkpoint, items, self.largest_batch, LONGEST, BEAMS))
        return [
            (
                self._detections([next(written) for _ in asked], size_of(image), asked, score_threshold, iou_threshold),
                [],
            )
            for image, asked in zip(images, phrases, strict=True)
        ]

    def _prepare(self, image: Image.Image, index: int, phrase: str) -> dict[str, torch.Tensor]:
        mark = next((mark for mark in self._marks if mark in phrase), None)
        if mark is not None:
            raise InvalidInput(f"phrases[{index}]", f"holds {mark}, a special token of the network; leave it out")
        inputs = self._checkpoint.processor(images=image, text=f"{TASK}{phrase}", return_tensors="pt")
        return prepared(inputs, self._checkpoint.network)

    def _detections(
        self,
        written: Sequence[Written],
        size: Size,
        phrases: Sequence[str],
        score_threshold: float,
        iou_threshold: float,
    ) -> list[Detection]:
        found = [
            (one.score(four), index, places)
            for index, one in enumerate(written)
            for four, places in boxes(one.tokens, self._bins, self._special)
        ]
        fit = sorted((one for one in found if one[0] >= score_threshold), key=lambda one: -one[0])
        corners = np.array([places for *_, places in fit], np.float32).reshape(-1, 4) * np.tile(size, 2).astype("f4")
        return [
            Detection(rank, phrases[fit[one][1]], fit[one][1], fit[one][0], Box(*map(float, corners[one])))
            for rank, one in enumerate(without_overlaps(corners, iou_threshold))
        ]


def boxes(tokens: np.ndarray, bins: Mapping[int, int], special: set[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The boxes of the first phrase that an answer grounds.

    Args:
        tokens: of the answer, int64.
        bins: by location token, which bin it names.
        special: the tokens that are no text; location tokens are among them.

    Returns:
        For each box the indices of its four tokens (int), and its corners (float32: x0, y0, x1, y1; 0 to 1, the middle
        of each bin). Boxes without an area are left out.
    """
    run: list[int] = []  # of location tokens right behind text
    after_text = False
    for index, token in enumerate(tokens.tolist()):
        if token in bins:
            run += [index] * after_text
        elif len(run) >= 4:
            break
        else:
            run, after_text = [], token not in special
    fours = np.array(run[: len(run) // 4 * 4], int).reshape(-1, 4)
    places = [(np.array([bins[token] for token in tokens[four].tolist()], np.float32) + 0.5) / _BINS for four in fours]
    return [
        (four, corners)
        for four, corners in zip(fours, places, strict=True)
        if corners[0] < corners[2] and corners[1] < corners[3]
    ]

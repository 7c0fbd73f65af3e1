"""DetectService: message in, call the model, message out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import grpc
import numpy as np

from tensorhop.models.model import Model
from tensorhop.rpc.batching import Batcher
from tensorhop.v1 import detect_pb2 as pb
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.phrases import check_any, list_parts, split_phrase
from tensorhop.values.results import Detection
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.messages import read_detect, read_phrases, write_detection, write_model
from tensorhop.wire.payloads import Payloads

Key = tuple[DetectOptions, tuple[int, ...]]  # the choices, and the photo's shape


class Detector(Model, Protocol):
    """A model that finds the objects that phrases name."""

    def predict(
        self,
        images: Sequence[np.ndarray],
        phrases: Sequence[Sequence[str]],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[tuple[list[Detection], list[str]]]:
        """The detections in each photo, best first, and warnings. A model may give each its mask, with uint8 alpha.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            phrases: for each image what to look for, one object a phrase.
            score_threshold: the least score to report, 0 to 1; the model's own if not given.
            iou_threshold: of two boxes that overlap by more, only the better stays, 0 to 1; the model's own if not
                given.

        Raises:
            InvalidInput: there is no phrase, or the model cannot read one.
        """


def divide(phrases: Sequence[str], parts: Callable[[str], list[str]] | None) -> tuple[list[tuple[str, int]], list[str]]:
    """The objects to look for, each with the index of its phrase; and what the caller should know about it.

    Args:
        phrases: the caller's.
        parts: the phrases that a phrase lists, as the model knows; None if the model cannot tell.
    """
    wanted, warnings = [], []
    for index, phrase in enumerate(phrases):
        for one in split_phrase(phrase):
            names = parts(one) if parts else [one]
            wanted += [(name, index) for name in names]
            if len(names) > 1:
                listed = ", ".join(map(repr, names))
                warnings.append(f"The phrase {one!r} was taken for several: {listed}.")
            elif len(list_parts(one)) > 1:
                warnings.append(f"The phrase {one!r} was taken for one object; give several objects as a phrase each.")
    return wanted, warnings


class DetectServicer:
    def __init__(self, model: Detector) -> None:
        self.model = model
        self.batcher = Batcher("detect", self._predict, model.largest_batch)

    def Detect(self, packet: Packet[pb.DetectRequest], context: grpc.ServicerContext) -> Packet[pb.DetectResponse]:
        request, payloads = packet
        phrases = read_phrases(request.phrases)
        check_any(phrases)
        image = read_image(request.image, payloads)
        options = read_detect(request.options)
        # Photos of one size share a batch: padding one to another's size would change its boxes.
        key = (options, image.shape)
        wanted, divided = divide(phrases, getattr(self.model, "parts", None))
        names = [name for name, _ in wanted]
        detections, warnings = self.batcher.one((image, names), key, context.add_callback)
        detections = [
            replace(one, phrase_index=wanted[one.phrase_index][1], mask=one.mask if request.masks else None)
            for one in detections
        ]
        answer = Payloads()
        response = pb.DetectResponse(
            detections=[write_detection(one, answer) for one in detections],
            warnings=divided + warnings,
            model=write_model(self.model),
        )
        return Packet(response, answer)

    def _predict(
        self, items: Sequence[tuple[np.ndarray, list[str]]], key: Key
    ) -> list[tuple[list[Detection], list[str]]]:
        images, phrases = zip(*items, strict=True)
        return self.model.predict(images, phrases, key[0].score_threshold, key[0].iou_threshold)

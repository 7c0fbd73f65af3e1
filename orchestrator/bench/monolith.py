"""The system that Tensorhop replaces: the same model classes, called one after another in one process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from orchestrator.bench.turn import Turn, Want, timed
from orchestrator.local import service
from tensorhop.composite import compose
from tensorhop.encode import encode
from tensorhop.finish import Finish
from tensorhop.geometry import Box, Region, size_of
from tensorhop.image import decode_image
from tensorhop.memory import keep_large_buffers
from tensorhop.output import Output
from tensorhop.results import Cutout
from tensorhop.settings import MODEL_STEPS

Models = Mapping[str, Callable[[], Any]]  # by step, what makes its model, where it is not the embedded one


class Monolith:
    """All models in this process."""

    def __init__(self, models: Models) -> None:
        from services.postprocess.finish import finish

        self._finish = finish
        self._models: dict[str, Any] = {
            step: models[step]() if step in models else service(step).model() for step in MODEL_STEPS
        }

    def process(self, photo: bytes, want: Want) -> Iterator[bytes]:
        """The photo's cut-outs as PNG files, each finished before the next is segmented."""
        pixels = decode_image(photo)
        boxes = want.boxes or self._find(pixels)[: want.most]
        options = replace(Finish(**want.finish), refine=True)
        for box in boxes:
            (mask,) = self._models["segment"].predict([pixels], [box])
            if not mask.empty:
                yield picture(self._finish(pixels[mask.region.slices], mask, size_of(pixels), options))

    def _find(self, pixels: np.ndarray) -> Sequence[Box]:
        (description,) = self._models["describe"].predict([pixels])
        ((detections, _),) = self._models["detect"].predict([pixels], [[description.text]])
        return [detection.box for detection in detections]


def picture(cutout: Cutout) -> bytes:
    layers = [layer for layer in (cutout.shadow, cutout.cutout) if layer]
    return encode(compose(layers, Region.of(cutout.placement.canvas)), Output("png"))


@contextmanager
def monolith(models: Models) -> Iterator[Callable[[bytes, Want], Turn]]:
    """The job of the monolith's process: takes a turn."""
    keep_large_buffers()
    whole = Monolith(models)
    yield lambda photo, want: timed(whole.process(photo, want))

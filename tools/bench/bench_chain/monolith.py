"""The system that Tensorhop replaces: the same model classes, called one after another in one process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from bench_chain.turn import Turn, Want, timed
from tensorhop.rpc.registry import models as services_with_model
from tensorhop.rpc.registry import services
from tensorhop.values.compositing import compose
from tensorhop.values.encoding import encode_picture
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.images import decode_image
from tensorhop.values.output_options import Output
from tensorhop.values.results import Cutout
from tensorhop.wire.allocator import keep_large_buffers

Models = Mapping[str, Callable[[], Any]]  # by step, what makes its model, where it is not the embedded one


class Monolith:
    """All models in this process."""

    def __init__(self, models: Models) -> None:
        from tensorhop.services.postprocess.finishing import finish

        self._finish = finish
        self._models: dict[str, Any] = {
            step: models[step]() if step in models else services()[step].load_model() for step in services_with_model()
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
    return encode_picture(compose(layers, Region.of(cutout.placement.canvas)), Output("png"))


@contextmanager
def monolith(models: Models) -> Iterator[Callable[[bytes, Want], Turn]]:
    """The job of the monolith's process: takes a turn."""
    keep_large_buffers()
    whole = Monolith(models)
    yield lambda photo, want: timed(whole.process(photo, want))

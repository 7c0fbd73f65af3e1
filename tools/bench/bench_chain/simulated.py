"""Models on a simulated accelerator: what batching, overlap and queues are worth where the CPU does not decide it.

An accelerator takes one batch at a time: LAUNCH_SECONDS for each, and ITEM_SECONDS more for each item in it. So it is
asleep, not busy, and leaves the cores to the services; what it is asked for is what a GPU's queue would be asked for.
"""

import threading
import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Description, Detection, Mask

LAUNCH_SECONDS, ITEM_SECONDS = 0.020, 0.002
LARGEST_BATCH = 32
FILLED = 0.8  # of a box's sides: the ellipse that counts as the object


class Accelerator:
    """One stream of launches."""

    revision = "1"
    digest = "simulated"

    def __init__(self, largest_batch: int = LARGEST_BATCH) -> None:
        self.largest_batch = largest_batch
        self._stream = threading.Lock()

    def warm_up(self) -> None: ...

    def launch(self, items: int) -> None:
        with self._stream:
            time.sleep(LAUNCH_SECONDS + ITEM_SECONDS * items)


class SimulatedDescriber(Accelerator):
    name = "simulated-describe"

    def predict(self, images: Sequence[np.ndarray], options: DescribeOptions | None = None) -> list[Description]:
        self.launch(len(images))
        return [Description("object", 1.0, Region.of(size_of(image))) for image in images]


class SimulatedDetector(Accelerator):
    """Finds one object in each cell of a square grid over the photo."""

    name = "simulated-detect"

    def __init__(self, objects: int = 1, largest_batch: int = LARGEST_BATCH) -> None:
        super().__init__(largest_batch)
        self._objects = objects

    def predict(
        self,
        images: Sequence[np.ndarray],
        phrases: Sequence[Sequence[str]],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
    ) -> list[tuple[list[Detection], list[str]]]:
        self.launch(len(images))
        return [
            (
                [Detection(index, wanted[0], 0, 1.0, box) for index, box in enumerate(cells(image, self._objects))],
                [],
            )
            for image, wanted in zip(images, phrases, strict=True)
        ]


class SimulatedSegmenter(Accelerator):
    """An ellipse in every box."""

    name = "simulated-segment"

    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]:
        self.launch(len(images))
        return [
            ellipse(box.region().intersect(Region.of(size_of(image)))) for image, box in zip(images, boxes, strict=True)
        ]


def ellipse(region: Region) -> Mask:
    """An ellipse with a soft edge: the object of a region."""
    return Mask(_ellipse(region.size), region)


@lru_cache(maxsize=64)  # an accelerator hands masks over finished: to draw each would take the cores' time
def _ellipse(size: Size) -> np.ndarray:
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in (size.height, size.width))
    inside = 1 - np.hypot(y[:, None], x) / FILLED
    alpha = np.rint(np.clip(inside * 20, 0, 1) * 255).astype(np.uint8)
    alpha.flags.writeable = False
    return alpha


def cells(photo: np.ndarray, objects: int) -> list[Box]:
    """The first cells, row by row, of the smallest square grid over a photo that has as many."""
    side = int(np.ceil(np.sqrt(objects)))
    height, width = photo.shape[0] / side, photo.shape[1] / side
    return [
        Box(column * width, row * height, (column + 1) * width, (row + 1) * height)
        for row, column in (divmod(index, side) for index in range(objects))
    ]


MODELS = {"describe": SimulatedDescriber, "detect": SimulatedDetector, "segment": SimulatedSegmenter}

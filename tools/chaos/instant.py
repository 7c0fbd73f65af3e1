"""A service on a model that is no model: it waits, and answers what follows from the photo and its boxes alone.

    python tools/chaos/instant.py segment --listen 127.0.0.1:50053 --seconds 0.02

Server, servicer, queue and messages are the product's own. postprocess has no model; it runs as it is.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.serving.shutdown import run_until_signal
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Description, Detection, Mask
from tensorhop.wire.allocator import keep_large_buffers


class Instant:
    """The smallest thing that a servicer takes for a model. Batches of one: its capacity is known."""

    name, revision, digest, largest_batch = "instant", "", "0" * 64, 1

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def warm_up(self) -> None:
        pass


class Describer(Instant):
    def predict(self, images: Sequence[np.ndarray], options: object = None) -> list[Description]:
        """Names the photo by its pixels: an answer to another photo is seen to be wrong."""
        time.sleep(self.seconds)
        return [Description(f"object {int(image.sum()) % 997}", 1.0, whole(image)) for image in images]


class Detector(Instant):
    def predict(
        self, images: Sequence[np.ndarray], phrases: Sequence[Sequence[str]], *thresholds: float | None
    ) -> list[tuple[list[Detection], list[str]]]:
        """Two objects, a third of each side, at the left and at the right."""
        time.sleep(self.seconds)
        found: list[tuple[list[Detection], list[str]]] = []
        for image, words in zip(images, phrases, strict=True):
            height, width = image.shape[:2]
            boxes = [Box(width * x, height / 3, width * (x + 1 / 3), height * 2 / 3) for x in (0.1, 0.6)]
            found.append(([Detection(n, words[0], 0, 0.9 - n / 10, box) for n, box in enumerate(boxes)], []))
        return found


class Segmenter(Instant):
    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]:
        """The box's darker pixels."""
        time.sleep(self.seconds)
        masks = []
        for image, box in zip(images, boxes, strict=True):
            region = box.clipped(size_of(image)).region()
            grey = image[region.slices].mean(axis=2)
            masks.append(Mask(np.where(grey <= np.median(grey), 255, 0).astype(np.uint8), region))
        return masks


def whole(image: np.ndarray) -> Region:
    height, width = image.shape[:2]
    return Region(0, 0, width, height)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["describe", "detect", "segment"])
    parser.add_argument("--listen", required=True)
    parser.add_argument("--seconds", type=float, default=0.0, help="that the model takes for one input")
    arguments = parser.parse_args()
    keep_large_buffers()
    made = services()[arguments.name]
    model = {"describe": Describer, "detect": Detector, "segment": Segmenter}[arguments.name](arguments.seconds)
    server = Server(made, made.make_servicer(model), arguments.listen)
    run_until_signal([server], lambda: print(f"{arguments.name} serves on {server.address}", flush=True))


if __name__ == "__main__":
    main()

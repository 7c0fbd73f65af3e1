"""PaletteService: message in, call the model, message out."""

from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np

from swatches.median_cut import Colour, MedianCut
from swatches.v1 import palette_pb2 as pb
from tensorhop import Batcher, InvalidInput, Packet, Payloads, Size, read_image, read_mask, write_model

COLOURS, MOST_COLOURS = 5, 16


class PaletteServicer:
    def __init__(self, model: MedianCut) -> None:
        self.model = model
        self.batcher = Batcher("palette", self._predict, model.largest_batch)

    def Measure(self, packet: Packet[pb.MeasureRequest], context: grpc.ServicerContext) -> Packet[pb.MeasureResponse]:
        request, payloads = packet
        image = read_image(request.image, payloads)
        mask = read_mask(request.mask, payloads, Size(image.shape[1], image.shape[0]))
        half = 127 if mask.alpha.dtype == np.uint8 else 0.5
        pixels = image[mask.region.slices][mask.alpha > half]
        if not len(pixels):
            raise InvalidInput("mask", "has no pixel that is more than half inside; at least one is needed")
        found = self.batcher.one((pixels, read_colours(request)), None, context.add_callback)
        colours = [pb.Colour(red=red, green=green, blue=blue, share=share) for red, green, blue, share in found]
        return Packet(pb.MeasureResponse(colours=colours, model=write_model(self.model)), Payloads())

    def _predict(self, batch: Sequence[tuple[np.ndarray, int]], key: None) -> list[list[Colour]]:
        return self.model.predict(batch)


def read_colours(request: Any) -> int:
    """How many colours a message asks for; the chain's has the same field. Raises InvalidInput."""
    colours = request.colours if request.HasField("colours") else COLOURS
    if not 1 <= colours <= MOST_COLOURS:
        raise InvalidInput("colours", f"is {colours}; it must be from 1 to {MOST_COLOURS}")
    return colours

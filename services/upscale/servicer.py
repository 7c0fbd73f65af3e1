"""UpscaleService: one larger picture or one fault for each image, sent as soon as it is done."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import grpc
import numpy as np

from tensorhop.errors import InvalidInput, fault_of
from tensorhop.models.model import Model
from tensorhop.rpc.batching import Batcher
from tensorhop.services.upscale.alignment import ALIGNMENTS
from tensorhop.services.upscale.options import UpscaleOptions
from tensorhop.settings import current_settings
from tensorhop.v1 import upscale_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import image_readers
from tensorhop.wire.messages import given, read_choice, write_model
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor


class Upscaler(Model, Protocol):
    """A model that makes pictures larger."""

    align: Literal["none", "adain", "wavelet"]  # how colours are aligned unless a caller says it

    def predict(self, images: Sequence[np.ndarray], options: UpscaleOptions) -> list[np.ndarray]:
        """Each picture `options.scale` times as large: uint8, height x width x 3, sRGB, as the images are."""


Item = tuple[int, Callable[[], np.ndarray]]  # an image's index in its request, and what reads it


class UpscaleServicer:
    def __init__(self, model: Upscaler) -> None:
        self.model = model
        self.batcher = Batcher("upscale", self._predict, model.largest_batch)

    def Upscale(
        self, packet: Packet[pb.UpscaleRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.UpscaleResponse]]:
        request, payloads = packet
        options = read_options(request)
        items = list(enumerate(image_readers(request.images, payloads)))
        answer = Payloads.lent(request.lent)
        model = write_model(self.model)
        for index, outcome in self.batcher.each(items, options, context.add_callback):
            if isinstance(outcome, Exception):  # a fault of one image does not fail the others
                response = pb.UpscaleResponse(index=index, fault=fault_of(outcome, "upscale"), model=model)
            else:
                response = pb.UpscaleResponse(index=index, image=to_tensor(outcome, answer), model=model)
            yield Packet(response, answer)
            answer.clear()

    def _predict(self, items: Sequence[Item], options: UpscaleOptions) -> list[np.ndarray]:
        images = [read() for _, read in items]
        for (index, _), image in zip(items, images, strict=True):
            check_result(image, options.scale, f"images[{index}]")
        results = self.model.predict(images, options)
        align = ALIGNMENTS[options.align or self.model.align]
        return [align(result, image) for result, image in zip(results, images, strict=True)]


def check_result(image: np.ndarray, scale: int, field: str) -> None:
    """Raises InvalidInput: the enlarged image would have too many pixels."""
    (height, width), most = image.shape[:2], current_settings().max_pixels
    if (count := width * height * scale**2) > most:
        raise InvalidInput(
            field,
            f"is {width} x {height} pixels; at scale {scale} its result would have {count:,}, and at most {most:,} are "
            "allowed",
        )


def read_options(request: pb.UpscaleRequest) -> UpscaleOptions:
    """The caller's choices over the defaults. Raises InvalidInput as `UpscaleOptions.check` does."""
    chosen = given(request, "scale", "seed")
    if align := read_choice(pb.ColorAlign, request.align, "align"):
        chosen["align"] = align
    options = UpscaleOptions(prompt=request.prompt, **chosen)
    options.check()
    return options

"""The chain: photos -> segment (the mask of each) -> palette (the colours under it) -> swatches."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np

from swatches.palette import read_colours
from swatches.v1 import palette_pb2
from swatches.v1 import swatches_pb2 as pb
from tensorhop import (
    ChainServicer,
    InvalidInput,
    Mask,
    Packet,
    Payloads,
    RequestScope,
    SentImages,
    ServiceFault,
    Size,
    StepCache,
    Steps,
    TaskGroup,
    as_they_come,
    fault_of,
    read_image,
    read_mask,
    write_mask,
)
from tensorhop.v1 import image_pb2, segment_pb2

MOST = 100  # photos of a request
AT_ONCE = 4  # of them

Put = Callable[[Packet[Any]], None]  # hands an event over


class SwatchesServicer(ChainServicer):
    def Process(
        self, packet: Packet[pb.ProcessRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.ProcessResponse]]:
        return self.answer(process, packet, context, pb.ProcessResponse)


def process(packet: Packet[pb.ProcessRequest], steps: Steps, scope: RequestScope) -> Generator[Packet[Any], None, None]:
    """Run the chain for one request; yields events as they happen, the summary last.

    Raises:
        InvalidInput: the request is wrong. What fails of one photo is a SwatchFault instead.
    """
    request = packet.message
    read_colours(request)
    if not 1 <= len(request.photos) <= MOST:
        raise InvalidInput("photos", f"has {len(request.photos)} entries; give 1 to {MOST}")
    summary = pb.SwatchesSummary()

    def work(put: Put) -> None:
        with TaskGroup(AT_ONCE, "swatch") as group:
            for index in range(len(request.photos)):
                group.submit(partial(find_swatch, packet, index, steps, scope, put))

    for event in as_they_come(work, "swatches", scope.cancel):
        summary.swatches += isinstance(event.message, pb.Swatch)
        summary.faults += isinstance(event.message, pb.SwatchFault)
        yield event
    summary.seconds = scope.seconds()
    summary.steps.extend(scope.steps(steps))
    yield Packet(summary, Payloads())


def find_swatch(packet: Packet[pb.ProcessRequest], index: int, steps: Steps, scope: RequestScope, put: Put) -> None:
    """One photo from the left to the right."""
    request, payloads = packet
    given, field = request.photos[index], f"photos[{index}]"
    try:
        photo = read_image(given.image, payloads, f"{field}.image")
        cache = StepCache(None if request.no_cache else steps.cache, photo, scope)
        with scope.loan() as slots:
            sent = SentImages([photo], slots)
            if given.HasField("mask"):
                mask = read_mask(given.mask, payloads, size_of(photo), f"{field}.mask")
            else:
                mask = segment(photo, sent, cache, steps, scope)
            colours = palette(request, mask, sent, cache, steps, scope)
        answer = Payloads()
        put(Packet(pb.Swatch(index=index, colours=colours, mask=write_mask(mask, answer)), answer))
    except Exception as error:
        put(Packet(pb.SwatchFault(index=index, fault=fault_of(error, "swatches")), Payloads()))


def segment(photo: np.ndarray, sent: SentImages, cache: StepCache, steps: Steps, scope: RequestScope) -> Mask:
    """The mask of the object in a whole photo. Raises ServiceFault: the call failed, or there is none."""
    step, size = steps["segment"], size_of(photo)

    def build(shared: bool) -> Packet[segment_pb2.SegmentRequest]:
        (image,), payloads = sent.message(shared)
        whole = image_pb2.Box(x1=size.width, y1=size.height)
        return Packet(segment_pb2.SegmentRequest(image=image, boxes=[whole]), payloads)

    def ask() -> Packet[segment_pb2.SegmentResponse]:
        answer = step.call("Segment", build, scope)
        if answer.message.HasField("fault"):
            raise ServiceFault(answer.message.fault)
        return answer

    answer, payloads = cache.packet(step, ["the whole photo"], segment_pb2.SegmentResponse, ask)
    return read_mask(answer.mask, payloads, size)


def palette(
    request: pb.ProcessRequest, mask: Mask, sent: SentImages, cache: StepCache, steps: Steps, scope: RequestScope
) -> list[palette_pb2.Colour]:
    """The colours under a mask. Raises ServiceFault: the call failed."""
    step, most = steps["palette"], read_colours(request)

    def build(shared: bool) -> Packet[palette_pb2.MeasureRequest]:
        (image,), payloads = sent.message(shared)
        return Packet(palette_pb2.MeasureRequest(image=image, mask=write_mask(mask, payloads), colours=most), payloads)

    def ask() -> palette_pb2.MeasureResponse:
        return step.call("Measure", build, scope).message

    parameters = [mask.alpha, *mask.region, most]
    return list(cache.message(step, parameters, palette_pb2.MeasureResponse, ask).colours)


def size_of(photo: np.ndarray) -> Size:
    return Size(photo.shape[1], photo.shape[0])

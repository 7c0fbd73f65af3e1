"""PreprocessService: one pair of views or one fault for each interval and panorama, cropped when it is its turn."""

from collections.abc import Iterator, Sequence

import grpc

from tensorhop.cpu_count import cpu_count
from tensorhop.errors import Abandoned, InvalidInput, fault_of
from tensorhop.rpc.batching import Batcher
from tensorhop.services.preprocess.draw import draw
from tensorhop.services.preprocess.pairs import crop_pair
from tensorhop.v1 import preprocess_pb2 as pb
from tensorhop.values.panoramas import INTERVALS, CameraPair
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.panorama_messages import (
    item_of,
    not_all_bad,
    read_camera_pair,
    read_interval_numbers,
    read_panoramas,
    read_view_size,
    write_camera_pair,
)
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor


class PreprocessServicer:
    def __init__(self) -> None:
        # Pairs of several requests side by side, on as many cores as there are; of one request one after the other.
        self.batcher = Batcher("preprocess", lambda items, _: [crop_pair(*items[0])], 1, workers=cpu_count())

    def Preprocess(
        self, packet: Packet[pb.PreprocessRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.PreprocessResponse]]:
        request, payloads = packet
        view = read_view_size(request.view if request.HasField("view") else None, across=2)
        panoramas = read_panoramas(request.panoramas, payloads, request.any_ratio)
        intervals = read_intervals(request)
        answer = Payloads.lent(request.lent)
        for interval, pairs in intervals:
            for index, (panorama, cameras) in enumerate(zip(panoramas, pairs, strict=True)):
                response = pb.PreprocessResponse(interval=interval, panorama=index)
                try:
                    both = readable(cameras)
                    response.cameras.CopyFrom(write_camera_pair(both))
                    pair = self.batcher.one((readable(panorama), both, view), None, context.add_callback)
                    response.pair.CopyFrom(to_tensor(pair, answer))
                except Abandoned:
                    raise
                except Exception as error:  # a fault of one pair does not fail the others
                    response.fault.CopyFrom(fault_of(error, "preprocess"))
                yield Packet(response, answer)
                answer.clear()


def read_intervals(request: pb.PreprocessRequest) -> Sequence[tuple[int, Sequence[CameraPair | InvalidInput]]]:
    """The numbers of the intervals, with a pair of cameras, or what is wrong with it, for each panorama.

    Raises:
        InvalidInput: a number is not from 1 to 8 or comes twice, intervals come beside cameras, an interval does not
            have as many pairs as there are panoramas, or no pair is as it should be.
    """
    given, count = request.cameras, len(request.panoramas)
    if given and request.intervals:
        raise InvalidInput("intervals", "are given beside cameras; give the one or the other")
    if not given:
        drawn = draw(request.seed if request.HasField("seed") else None, count)
        wanted = read_interval_numbers(request.intervals, "intervals[{}]") or list(INTERVALS)
        return [(number, drawn[number]) for number in wanted]
    numbers = read_interval_numbers([one.interval for one in given], "cameras[{}].interval")
    found: list[tuple[int, list[CameraPair | InvalidInput]]] = []
    for place, (number, interval) in enumerate(zip(numbers, given, strict=True)):
        field = f"cameras[{place}].cameras"
        if len(interval.cameras) != count:
            raise InvalidInput(field, f"has {len(interval.cameras)} entries; one for each panorama is needed, {count}")
        pairs = [item_of(read_camera_pair, one, f"{field}[{index}]") for index, one in enumerate(interval.cameras)]
        found.append((number, pairs))
    not_all_bad([pair for _, pairs in found for pair in pairs])
    return found

"""InterpolateService: one view or one fault for each weight and panorama, cropped when it is its turn."""

from collections.abc import Iterator

import grpc

from tensorhop.cpu_count import cpu_count
from tensorhop.errors import Abandoned, InvalidInput, fault_of
from tensorhop.rpc.batching import Batcher
from tensorhop.services.interpolate.mixing import mixed
from tensorhop.v1 import interpolate_pb2 as pb
from tensorhop.values.panoramas import CameraPair, Panorama
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.panorama_messages import (
    MOST_VIEWS,
    VIEWS,
    item_of,
    not_all_bad,
    read_camera_pair,
    read_panoramas,
    read_view_size,
    write_camera,
)
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor


class InterpolateServicer:
    def __init__(self) -> None:
        # Views of several requests side by side, on as many cores as there are; of one request one after the other.
        self.batcher = Batcher("interpolate", lambda items, _: [Panorama.view(*items[0])], 1, workers=cpu_count())

    def Interpolate(
        self, packet: Packet[pb.InterpolateRequest], context: grpc.ServicerContext
    ) -> Iterator[Packet[pb.InterpolateResponse]]:
        request, payloads = packet
        count = request.views if request.HasField("views") else VIEWS
        if not 1 <= count <= MOST_VIEWS:
            raise InvalidInput("views", f"is {count:,}; it must be from 1 to {MOST_VIEWS}")
        size = read_view_size(request.view if request.HasField("view") else None)
        panoramas = read_panoramas(request.panoramas, payloads, request.any_ratio)
        pairs = read_pairs(request)
        answer = Payloads.lent(request.lent)
        for weight in range(1, count + 1):
            for index, (panorama, pair) in enumerate(zip(panoramas, pairs, strict=True)):
                response = pb.InterpolateResponse(panorama=index, weight_idx=weight)
                try:
                    camera = mixed(readable(pair), weight / (count + 1))
                    response.camera.CopyFrom(write_camera(camera))
                    view = self.batcher.one((readable(panorama), camera, size), None, context.add_callback)
                    response.view.CopyFrom(to_tensor(view, answer))
                except Abandoned:
                    raise
                except Exception as error:  # a fault of one view does not fail the others
                    response.fault.CopyFrom(fault_of(error, "interpolate"))
                yield Packet(response, answer)
                answer.clear()


def read_pairs(request: pb.InterpolateRequest) -> list[CameraPair | InvalidInput]:
    """The cameras of each panorama, or what is wrong with them.

    Raises:
        InvalidInput: there are not as many pairs as panoramas, or none is as it should be.
    """
    if len(request.cameras) != len(request.panoramas):
        raise InvalidInput(
            "cameras",
            f"has {len(request.cameras)} entries; one for each panorama is needed, {len(request.panoramas)}",
        )
    return not_all_bad(
        [item_of(read_camera_pair, one, f"cameras[{index}]") for index, one in enumerate(request.cameras)]
    )

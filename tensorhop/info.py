"""InfoService: what a server runs."""

from importlib.metadata import version

import grpc

from tensorhop.health import WORKERS
from tensorhop.messages import Model, write_model
from tensorhop.payloads import Payloads
from tensorhop.v1 import info_pb2 as pb
from tensorhop.wire import Packet

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["InfoService"]


class InfoServicer:
    """Answers what never changes while a server runs."""

    def __init__(self, service: str, model: Model | None) -> None:
        self._info = pb.GetInfoResponse(
            service=service, version=version("tensorhop"), model=write_model(model) if model else None
        )

    def GetInfo(self, packet: Packet[pb.GetInfoRequest], context: grpc.ServicerContext) -> Packet:
        return Packet(self._info, Payloads())

    GetInfo.experimental_thread_pool = WORKERS  # type: ignore[attr-defined]

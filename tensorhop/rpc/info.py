"""InfoService: what a server runs, and how busy it is."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import grpc

from tensorhop.rpc.health import WORKERS
from tensorhop.rpc.interceptors.call_limit import CallLimit
from tensorhop.v1 import info_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_model
from tensorhop.wire.payloads import Payloads


class InfoServicer:
    """Reports on a server, from those attributes that its servicer has: `model`, `batcher` and `upstreams`."""

    def __init__(self, service: str, servicer: Any, limit: CallLimit) -> None:
        model = getattr(servicer, "model", None)
        self._fixed = pb.GetInfoResponse(
            service=service, version=version("tensorhop"), model=write_model(model) if model else None
        )
        self._batcher = getattr(servicer, "batcher", None)
        self.upstreams: Callable[[], list[pb.Upstream]] = getattr(servicer, "upstreams", list)
        self._limit = limit
        self._started = time.monotonic()

    def ready(self) -> bool:
        """Whether the server can do its work: none of the services that it calls is missing."""
        return not any(one.missing for one in self.upstreams())

    def GetInfo(self, packet: Packet[pb.GetInfoRequest], context: grpc.ServicerContext) -> Packet[pb.GetInfoResponse]:
        info = pb.GetInfoResponse(
            uptime_seconds=time.monotonic() - self._started, calls=self._limit.calls(), upstreams=self.upstreams()
        )
        info.MergeFrom(self._fixed)
        if self._batcher is not None:
            info.queue.MergeFrom(pb.Queue(waiting=self._batcher.waiting, most=self._batcher.most_waiting))
        return Packet(info, Payloads())

    GetInfo.experimental_thread_pool = WORKERS  # type: ignore[attr-defined]

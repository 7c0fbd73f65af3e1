"""A service at an address, called from asyncio."""

import logging
import time
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio
from grpc_health.v1 import health_pb2

from tensorhop.errors import InvalidInput
from tensorhop.ray_serve import health_check
from tensorhop.rpc.channel import open_async_channel
from tensorhop.rpc.fairness.callers import caller_metadata
from tensorhop.rpc.remote import BULK_BYTES
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.wire.calls import code_of
from tensorhop.wire.codec import reader

log = logging.getLogger(__name__)


class AsyncRemote:
    """What `Remote` is to threads, for the event loop in which it is made.

    Args:
        method: one that streams its answers.

    Raises:
        InvalidInput: a file of `security` cannot be used.
    """

    def __init__(self, address: str, method: MethodDescriptor, security: Security, settings: Settings) -> None:
        self.address = address
        self._path = f"/{method.containing_service.full_name}/{method.name}"
        self._read = reader(GetMessageClass(method.output_type))
        self._security, self._settings = security, settings
        self._old: list[aio.Channel] = []  # calls may still be under way on them
        self._stamp = security.stamp()
        self._connect()

    def call(self, request: bytes, timeout: float | None, metadata: list[tuple[str, str]]) -> Any:
        """A call with an encoded request; its `read` gives Packets, each read in place."""
        if self._security.tls_ca:
            self._renew()
        channel = self._bulk if len(request) > BULK_BYTES else self._small
        method: Any = channel.unary_stream(self._path, None, self._read)
        return method(request, timeout=timeout, metadata=[*metadata, *caller_metadata(), *self._carried()])

    async def ready(self, timeout: float) -> bool:
        """Whether a server answers on both connections within so many seconds; asks for them to be made."""
        end = time.monotonic() + timeout
        for channel in (self._small, self._bulk):
            try:
                await health_check(channel, self.address)(
                    health_pb2.HealthCheckRequest(),
                    timeout=max(0.0, end - time.monotonic()),
                    wait_for_ready=True,
                    metadata=self._carried(),
                )
            except grpc.RpcError as error:
                if code_of(error) in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
                    return False
        return True

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        for channel in (self._small, self._bulk, *self._old):
            await channel.close()

    def _carried(self) -> list[tuple[str, str]]:
        return self._metadata() if self._metadata else []

    def _connect(self) -> None:
        small, _ = open_async_channel(self.address, self._security, self._settings)
        self._bulk, self._metadata = open_async_channel(self.address, self._security, self._settings)
        self._small = small

    def _renew(self) -> None:
        """Use certificates and authorities that have changed, by new connections."""
        stamp = self._security.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        before = [self._small, self._bulk]
        try:
            self._connect()
        except InvalidInput as error:  # as between the writing of the one file and of the other
            log.warning("the connections to %s stay as they were: %s", self.address, error)
        else:
            self._old += before

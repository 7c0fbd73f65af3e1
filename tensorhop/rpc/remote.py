"""A service at an address, with the connections on which it is called."""

import logging
import threading
import time
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2

from tensorhop.errors import InvalidInput
from tensorhop.ray_serve import health_check
from tensorhop.rpc.channel import info_of, open_channel
from tensorhop.rpc.security import Security, explain
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import info_pb2
from tensorhop.wire.calls import code_of
from tensorhop.wire.codec import Packet, Stub

BULK_BYTES = 64 * 1024  # of payload, above which a message goes over the connection for bulk

log = logging.getLogger(__name__)


class Remote:
    """A service at an address, on two connections: large messages on one do not hold up the small ones on the other.

    Nothing watches them: only its deadline ends a call to a server that has fallen silent. Certificates and authorities
    that change are used from the next call on, by new connections.

    Args:
        security: TLS and token; what `settings` say if not given.
        settings: how large a message may be; this process's if not given.
        authority, in_turn: as of `open_channel`.

    Raises:
        InvalidInput: the address is malformed, or a file of `security` cannot be used.
    """

    def __init__(
        self,
        address: str,
        service: ServiceDescriptor,
        security: Security | None = None,
        settings: Settings | None = None,
        authority: str = "",
        in_turn: bool = True,
    ) -> None:
        self.address, self._service = address, service
        self._authority, self._in_turn = authority, in_turn
        self._settings = settings or current_settings()
        self._security = security or Security.of(self._settings)
        self._channels: list[grpc.Channel] = []  # old ones too: calls may still be under way on them
        self._lock = threading.Lock()
        self._open = KeptOpen()
        self._stamp = self._security.stamp()
        self._connect()

    def call(self, method: str, packet: Packet[Any], **more: Any) -> Any:
        """Send a packet, and return the call, to iterate over; `more` is its timeout and metadata."""
        if self._security.tls_ca:
            self._renew()
        stub = self._bulk_stub if packet.payloads.nbytes > BULK_BYTES else self._small_stub
        return getattr(stub, method)(packet, **more)

    def ready(self, timeout: float) -> bool:
        """Whether a server answers on both connections within so many seconds; asks for them to be made."""
        end = time.monotonic() + timeout
        for check in self._checks:
            left = max(0.0, end - time.monotonic())
            try:
                with self._open:
                    asked = check.future(health_pb2.HealthCheckRequest(), timeout=left, wait_for_ready=True)
                asked.result()
            except (ValueError, grpc.FutureCancelledError):  # closed
                return False
            except grpc.RpcError as error:
                if code_of(error) in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
                    return False
        return True

    def problem(self, timeout: float) -> str:
        """Why no call can be made now: "nothing answers at localhost:50053; ..."; "" if one can.

        Args:
            timeout: seconds for an answer; one that cannot be connected to is told at once.
        """
        if self._security.tls_ca:
            self._renew()
        address = self._authority or self.address
        try:
            status = self._checks[0](health_pb2.HealthCheckRequest(), timeout=timeout).status
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                reason = explain(details, address)
                return f"{address} does not answer" if reason == details else reason
            if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                return f"{address} does not take calls from here: {details}"
            return ""  # it answers; not every server has health
        return f"{address} does not serve" if status == health_pb2.HealthCheckResponse.NOT_SERVING else ""

    def info(self, timeout: float) -> info_pb2.GetInfoResponse:
        """What the server runs. Raises grpc.RpcError."""
        return info_of(self._small, timeout)

    def close(self) -> None:
        """Close the connections; calls under way end with CANCELLED."""
        self._open.close()
        for channel in self._channels:
            channel.close()

    def _connect(self) -> None:
        self._small, self._bulk = (
            open_channel(self.address, self._security, self._settings, authority=self._authority, in_turn=self._in_turn)
            for _ in range(2)
        )
        self._small_stub, self._bulk_stub = (
            Stub(channel, self._service, self._open) for channel in (self._small, self._bulk)
        )
        # Made here, not when they are called: making one on a channel that is being closed can crash in gRPC.
        self._checks = [health_check(channel, self.address) for channel in (self._small, self._bulk)]
        self._channels += [self._small, self._bulk]

    def _renew(self) -> None:
        with self._lock:
            stamp = self._security.stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._connect()
            except InvalidInput as error:  # as between the writing of the one file and of the other
                log.warning("the connections to %s stay as they were: %s", self.address, error)


class KeptOpen:
    """The context in which calls are made: gRPC crashes if another thread closes the channel meanwhile."""

    __slots__ = ("_change", "_closed", "_lock", "_making")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._change = threading.Condition(self._lock)
        self._making = 0  # calls that are being made now
        self._closed = False

    def __enter__(self) -> None:
        """Raises ValueError: the connections are closed."""
        with self._lock:
            if self._closed:
                raise ValueError("the connections are closed")
            self._making += 1

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with self._lock:
            self._making -= 1
            if self._closed and not self._making:
                self._change.notify_all()

    def close(self) -> None:
        """Let no further call be made, and wait until those are that are being made."""
        with self._change:
            self._closed = True
            self._change.wait_for(lambda: not self._making)

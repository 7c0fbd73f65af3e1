"""Connections: the options that both ends of a call need, and what a failed call says."""

import json
import logging
import re
import threading
import time
from functools import cache
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tensorhop.address import is_loopback
from tensorhop.errors import RETRYABLE, InvalidInput, ServiceFault
from tensorhop.payloads import Payloads
from tensorhop.security import Security, explain, from_environment
from tensorhop.settings import limits
from tensorhop.tokens import Tokens, TokenSender
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.v1 import info_pb2
from tensorhop.wire import Packet, Stub, readable

log = logging.getLogger(__name__)

INFO = info_pb2.DESCRIPTOR.services_by_name["InfoService"]
BULK_BYTES = 64 * 1024  # of payload, above which a message goes over the connection for bulk
# What gRPC's own defaults leave out for minutes or for ever: a stopped peer, a name's new addresses.
REPLICAS = [
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 1500),
    ("grpc.http2.ping_timeout_ms", 1500),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),  # how long one attempt may take, too
    ("grpc.max_reconnect_backoff_ms", 1000),
]
TOO_LARGE = re.compile(r"(CLIENT|SERVER): (Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")  # as gRPC says
REQUEST_ID = "x-request-id"  # metadata key that carries a request's id from service to service


def message_options() -> list[tuple[str, Any]]:
    """gRPC's receive limit is 4 MiB by default, and each end has its own."""
    size = limits().max_message_bytes
    return [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]


def open_channel(address: str, service: str = "", security: Security | None = None) -> grpc.Channel:
    """A connection to "host:port", "unix:/path" or any other name gRPC resolves; made when first used.

    Args:
        service: full name of a service that may have several replicas behind the address (dns:///segment:50053): calls
            go to those in turn whose health says SERVING; a dead one is noticed, and a new one found, within seconds.
        security: TLS and token; what the environment says if not given. gRPC asks for health without a token: where
            health is not open, its answer is not looked at.

    Raises:
        InvalidInput: a file of `security` cannot be used.
    """
    security = from_environment() if security is None else security
    # Without a pool of its own, a second channel to the same address would share the first one's connection.
    options: list[tuple[str, int | str]] = [*message_options(), ("grpc.use_local_subchannel_pool", 1)]
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))  # a proxy cannot reach this machine's loopback
    if service:
        config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
        if security.open_health:
            config["healthCheckConfig"] = {"serviceName": service}
        options += [("grpc.service_config", json.dumps(config)), *REPLICAS]
    credentials = security.channel_credentials()
    if credentials is None:
        channel = grpc.insecure_channel(address, options)
    else:
        if address.startswith("unix:"):
            options.append(("grpc.ssl_target_name_override", "localhost"))  # no certificate is for a path
        channel = grpc.secure_channel(address, credentials, options)
    if not security.token_file:
        return channel
    if credentials is None and not is_loopback(address):
        _warn_of_plain_tokens(address)
    return grpc.intercept_channel(channel, TokenSender(Tokens(security.token_file)))


@cache
def _warn_of_plain_tokens(address: str) -> None:
    """Once for each address: a service has several connections."""
    log.warning("tokens go to %s in plain text; --tls-ca encrypts the connection", address)


class Remote:
    """A service at an address, on two connections: large messages on one do not hold up the small ones on the other.

    Certificates and authorities that change are used from the next call on, by new connections.

    Raises:
        InvalidInput: a file of `security` cannot be used.
    """

    def __init__(self, address: str, service: ServiceDescriptor, security: Security | None = None) -> None:
        self._address, self._service = address, service
        self._security = from_environment() if security is None else security
        self._channels: list[grpc.Channel] = []  # old ones too: calls may still be under way on them
        self._lock = threading.Lock()
        self._stamp = self._security.stamp()
        self._connect()

    def method(self, name: str, packet: Packet) -> Any:
        """The method by which to send a packet."""
        if self._security.tls_ca:
            self._renew()
        return getattr(self._bulk_stub if packet.payloads.nbytes > BULK_BYTES else self._small_stub, name)

    def ready(self, timeout: float) -> bool:
        """Whether a replica answers on both connections within so many seconds; asks for them to be made."""
        end = time.monotonic() + timeout
        for channel in (self._small, self._bulk):
            check = health_pb2_grpc.HealthStub(channel).Check
            try:
                check(health_pb2.HealthCheckRequest(), timeout=max(0.0, end - time.monotonic()), wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
                    return False
        return True

    def info(self, timeout: float) -> info_pb2.GetInfoResponse:
        """What the server runs. Raises grpc.RpcError."""
        return info_of(self._info, timeout)

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def _connect(self) -> None:
        name = self._service.full_name
        self._small, self._bulk = (open_channel(self._address, name, self._security) for _ in range(2))
        # Questions of another kind would take every second turn of two replicas.
        self._info = open_channel(self._address, name, self._security)
        self._small_stub, self._bulk_stub = Stub(self._small, self._service), Stub(self._bulk, self._service)
        self._channels += [self._small, self._bulk, self._info]

    def _renew(self) -> None:
        with self._lock:
            stamp = self._security.stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._connect()
            except InvalidInput as error:  # as between the writing of the one file and of the other
                log.warning("the connections to %s stay as they were: %s", self._address, error)


def info_of(channel: grpc.Channel, timeout: float) -> info_pb2.GetInfoResponse:
    """What the server runs, and how it fares. Raises grpc.RpcError."""
    packet = Packet(info_pb2.GetInfoRequest(), Payloads())
    return readable(Stub(channel, INFO).GetInfo(packet, timeout=timeout)).message


def metadata_of(context: grpc.ServicerContext) -> dict[str, str]:
    """The caller's metadata that is text."""
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def to_status(fault: pb.Fault) -> grpc.Status:
    """The gRPC status of a call that failed as a whole; the fault travels along as its detail."""
    status = status_pb2.Status(code=fault.code, message=fault.message)
    status.details.add().Pack(fault)
    return rpc_status.to_status(status)


def from_error(error: grpc.RpcError, step: pb.Step = pb.STEP_UNSPECIFIED) -> ServiceFault:
    """What a failed call says: the fault that the service sent, or one made from gRPC's own status."""
    code = error.code()
    fault = pb.Fault(code=f"CODE_{code.name}", message=explain(error.details() or code.name))
    fault.retryable = fault.code in RETRYABLE
    if size := TOO_LARGE.search(fault.message):
        # gRPC refuses it, on either end, with a code that otherwise says that it may pass later.
        end, did, got, most = size.groups()
        fault.field = "request" if (end, did) in (("CLIENT", "Sent"), ("SERVER", "Received")) else "response"
        fault.message = (
            f"{fault.field} has {int(got):,} bytes; the {end.lower()} allows at most {int(most):,} "
            "(TENSORHOP_MAX_MESSAGE_BYTES)"
        )
        fault.retryable = False
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details contradict the status, as after a proxy has changed it
        status = None
    for detail in status.details if status else ():
        if detail.Is(pb.Fault.DESCRIPTOR):
            detail.Unpack(fault)
    if fault.step == pb.STEP_UNSPECIFIED:
        fault.step = step
    return ServiceFault(fault)

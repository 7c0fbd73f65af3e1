"""Connections: the options that both ends of a call need, and what a failed call says."""

import json
import re
import time
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tensorhop.address import is_loopback
from tensorhop.errors import RETRYABLE, ServiceFault
from tensorhop.payloads import Payloads
from tensorhop.settings import limits
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.v1 import info_pb2
from tensorhop.wire import Packet, Stub, readable

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
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
TOO_LARGE = re.compile(r"(CLIENT|SERVER): (Sent|Received) message larger than max \((\d+) vs\. (\d+)\)")  # as gRPC says
REQUEST_ID = "x-request-id"  # metadata key that carries a request's id from service to service


def message_options() -> list[tuple[str, Any]]:
    """gRPC's receive limit is 4 MiB by default, and each end has its own."""
    size = limits().max_message_bytes
    return [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]


def open_channel(address: str, service: str = "") -> grpc.Channel:
    """A connection to "host:port", "unix:/path" or any other name gRPC resolves; made when first used.

    Args:
        service: full name of a service that may have several replicas behind the address (dns:///segment:50053): calls
            go to those in turn whose health says SERVING; a dead one is noticed, and a new one found, within seconds.
    """
    # Without a pool of its own, a second channel to the same address would share the first one's connection.
    options = [*message_options(), ("grpc.use_local_subchannel_pool", 1)]
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))  # a proxy cannot reach this machine's loopback
    if service:
        config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": service}}
        options += [("grpc.service_config", json.dumps(config)), *REPLICAS]
    return grpc.insecure_channel(address, options)


class Remote:
    """A service at an address, on two connections: large messages on one do not hold up the small ones on the other."""

    def __init__(self, address: str, service: ServiceDescriptor) -> None:
        self._small, self._bulk = (open_channel(address, service.full_name) for _ in range(2))
        self._small_stub, self._bulk_stub = Stub(self._small, service), Stub(self._bulk, service)

    def method(self, name: str, packet: Packet) -> Any:
        """The method by which to send a packet."""
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
        packet = Packet(info_pb2.GetInfoRequest(), Payloads())
        return readable(Stub(self._small, INFO).GetInfo(packet, timeout=timeout)).message

    def close(self) -> None:
        self._small.close()
        self._bulk.close()


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
    fault = pb.Fault(code=f"CODE_{code.name}", message=error.details() or code.name)
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

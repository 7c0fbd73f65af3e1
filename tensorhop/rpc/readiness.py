"""Whether a server is ready, asked from outside."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.rpc.channel import info_of
from tensorhop.rpc.health import READINESS
from tensorhop.rpc.security import explain

SERVING = health_pb2.HealthCheckResponse.SERVING


def why_not_ready(channel: grpc.Channel, timeout: float) -> str:
    """Why a server cannot do its work now, such as "segment at localhost:50053 does not answer"; "" if it can.

    A server that has no such health, as an older one, is ready if it serves at all.

    Args:
        timeout: seconds for each of two calls.
    """
    try:
        status = _health(channel, READINESS, timeout)
        if status is None:
            status = _health(channel, "", timeout)
        if status == SERVING:
            return ""
        missing = "; ".join(missing_of(channel, timeout).values())
        return missing or f"it is {health_pb2.HealthCheckResponse.ServingStatus.Name(status or 0)}"
    except grpc.RpcError as error:
        return f"it does not answer: {explain(error.details() or '') or error.code().name}"


def missing_of(channel: grpc.Channel, timeout: float) -> dict[str, str]:
    """By name, why a service that a server calls cannot be called; without those that can. Raises grpc.RpcError."""
    return {one.service: one.missing for one in info_of(channel, timeout).upstreams if one.missing}


def _health(channel: grpc.Channel, name: str, timeout: float) -> int | None:
    """The status of a name; None if the server does not know it. Raises grpc.RpcError."""
    try:
        return (
            health_pb2_grpc.HealthStub(channel)
            .Check(health_pb2.HealthCheckRequest(service=name), timeout=timeout)
            .status
        )
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            return None
        raise

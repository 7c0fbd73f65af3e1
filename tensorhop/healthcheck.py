"""`python -m tensorhop.healthcheck ADDRESS`: whether a server serves, for containers that have no other tool for it."""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 3.0


def failure(address: str) -> str:
    """Ask a gRPC server for the health of the whole of it.

    Args:
        address: "host:port" or "unix:path".

    Returns:
        Why it does not serve; "" if it does.
    """
    try:
        connection = connect(address)
    except ValueError as error:  # an InvalidInput: a setting is refused, or a file cannot be used
        return str(error)
    with connection as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{address} does not answer: {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"{address} is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def connect(address: str) -> grpc.Channel:
    """A connection, by TLS and with a token if the environment says so, as it does for the server."""
    if any(os.environ.get(f"TENSORHOP_{name}") for name in ("TLS_CA", "TOKEN_FILE")):
        from tensorhop.rpc.channel import open_channel

        return open_channel(address)
    # This runs every few seconds, and what open_channel imports would be most of its cost.
    return grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tensorhop.healthcheck ADDRESS")
    sys.exit(failure(sys.argv[1]) or 0)

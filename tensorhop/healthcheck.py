"""`python -m tensorhop.healthcheck ADDRESS`: whether a server serves, for containers that have no other tool for it.

With `--readiness`: whether all services that it calls can be reached, too.
"""

import argparse
import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 3.0


def failure(address: str) -> str:
    """Ask a gRPC server for its overall health.

    Args:
        address: "host:port" or "unix:path".

    Returns:
        Why the server is not ready; "" if it is.
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


def lack(address: str) -> str:
    """Ask a gRPC server whether it is ready. Takes and returns what `failure` does."""
    from tensorhop.rpc.health import why_not_ready

    with connect(address) as channel:
        reason = why_not_ready(channel, TIMEOUT_SECONDS)
    return reason and f"{address} is not ready: {reason}"


def connect(address: str) -> grpc.Channel:
    """A channel to a server; with TLS and a token if the environment names them, as it does for the server."""
    if any(os.environ.get(f"TENSORHOP_{name}") for name in ("TLS_CA", "TOKEN_FILE")):
        from tensorhop.rpc.channel import open_channel

        return open_channel(address)
    # This runs every few seconds, and importing what open_channel needs would be most of its cost.
    return grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tensorhop.healthcheck", description="Exit with 0 if a server serves."
    )
    parser.add_argument("address", metavar="ADDRESS", help="HOST:PORT or unix:PATH")
    parser.add_argument("--readiness", action="store_true", help="and if all services that it calls can be reached")
    given = parser.parse_args()
    sys.exit((lack if given.readiness else failure)(given.address) or 0)

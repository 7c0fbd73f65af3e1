"""`python -m tensorhop.healthcheck ADDRESS`: whether a server serves, for containers that have no other tool for it.

With `--readiness`: whether all services that it calls can be reached, too.
"""

import argparse
import os
import sys
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tensorhop.address import check_brackets, is_loopback

TIMEOUT_SECONDS = 3.0


def failure(address: str) -> str:
    """Ask a gRPC server for its overall health.

    Args:
        address: "host:port" or "unix:path".

    Returns:
        Why the server is not ready; "" if it is.
    """
    try:
        connections = ways(address)
    except (ValueError, OSError) as error:  # a setting is refused, a file cannot be used, or this is no address
        return str(error)
    problem = ""
    for connect in connections:
        try:
            with connect() as channel:
                request = health_pb2.HealthCheckRequest()
                answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            from tensorhop.rpc.security import unanswered

            details = error.details() or ""
            problem = problem or unanswered(details, address) or f"{address} does not answer: {details}"
        except ValueError as error:
            problem = problem or str(error)
        else:
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return ""
            return f"{address} is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"
    return problem


def ways(address: str) -> list[Callable[[], grpc.Channel]]:
    """How to connect, by TLS, with a token and by a proxy if the environment says so, as it does for the server.

    On this machine a server that has a certificate is asked by that certificate, whoever signed it and for whatever
    name; if that fails, as any other client would ask it.
    """
    if not any(os.environ.get(f"TENSORHOP_{name}") for name in ("TLS_CERT", "TLS_CA", "TOKEN_FILE", "USE_PROXY")):
        # This runs every few seconds, and what open_channel imports would be most of its cost.
        check_brackets(address)
        return [lambda: grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])]
    from tensorhop.rpc.channel import open_channel
    from tensorhop.rpc.security import Security

    security = Security.of()
    found = [lambda: open_channel(address, security)]
    if security.tls_cert and is_loopback(address):

        def pinned() -> grpc.Channel:
            return open_channel(address, security.pinned(), certified=security.own_name())

        found.insert(0, pinned)
    return found


def lack(address: str) -> str:
    """Ask a gRPC server whether it is ready. Takes and returns what `failure` does."""
    from tensorhop.rpc.health import why_not_ready

    problem = ""
    for connect in ways(address):
        try:
            with connect() as channel:
                reason = why_not_ready(channel, TIMEOUT_SECONDS)
        except ValueError as error:  # a file that cannot be used, or no address
            reason = str(error)
        if not reason:
            return ""
        problem = problem or reason  # of the server's own certificate; the other way may fail of its name
    return f"{address} is not ready: {problem}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tensorhop.healthcheck", description="Exit with 0 if a server serves."
    )
    parser.add_argument("address", metavar="ADDRESS", help="HOST:PORT or unix:PATH")
    parser.add_argument("--readiness", action="store_true", help="and if all services that it calls can be reached")
    given = parser.parse_args()
    try:
        sys.exit((lack if given.readiness else failure)(given.address) or 0)
    except (OSError, ValueError) as error:  # no address, or a setting that is refused
        sys.exit(str(error))


if __name__ == "__main__":
    main()

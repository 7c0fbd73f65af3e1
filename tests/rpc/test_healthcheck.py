import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tensorhop.healthcheck import failure


@pytest.fixture
def server() -> Iterator[tuple[str, health.HealthServicer]]:
    """An address, and the health that is answered there; SERVING at first."""
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", servicer
    server.stop(None).wait()


def test_a_server_that_serves(server: tuple[str, health.HealthServicer]) -> None:
    assert failure(server[0]) == ""


def test_a_server_that_drains(server: tuple[str, health.HealthServicer]) -> None:
    address, servicer = server
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert failure(address) == f"{address} is NOT_SERVING"


def test_as_a_command(server: tuple[str, health.HealthServicer], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tensorhop.healthcheck"]
    assert subprocess.run([*command, server[0]]).returncode == 0
    nobody = subprocess.run([*command, f"unix:{tmp_path}/nobody"], capture_output=True, text=True)
    assert nobody.returncode == 1
    assert f"nothing answers at unix:{tmp_path}/nobody; start it with tensorhop up" in nobody.stderr

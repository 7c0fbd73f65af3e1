"""mosec: a pickled array in the body of an HTTP request, on a connection that stays open."""

import http.client
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from tensorhop.orchestrator.bench.method import Echo

START_SECONDS = 60.0
TIMEOUT_SECONDS = 120
MOST_BYTES = 1 << 30


@contextmanager
def serve() -> Iterator[str]:
    """mosec's server in Rust, which starts a Python process for the worker."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "address": "127.0.0.1",
            "port": port,
            "path": f"{folder}/ipc",
            "timeout": TIMEOUT_SECONDS * 1000,
            "max-request-size": MOST_BYTES,
            "log-level": "error",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        tools = Path(__file__).parents[1]
        command = [sys.executable, "-m", "bench_peers.mosec_http", *words]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tools)
        try:
            wait_for(port, server)
            yield f"127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def wait_for(port: int, server: subprocess.Popen) -> None:
    """Wait until the server answers an array. Raises ConnectionError: it does not start."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with connect(f"127.0.0.1:{port}") as echo:
                echo(np.zeros(1, np.uint8))
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
    raise ConnectionError("mosec could not start")


@contextmanager
def connect(address: str) -> Iterator[Echo]:
    with closing(http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)) as connection:

        def echo(array: np.ndarray) -> np.ndarray:
            connection.request("POST", "/inference", pickle.dumps(array, protocol=5))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise http.client.HTTPException(f"HTTP {answer.status}: {body[:200]!r}")
            return pickle.loads(body)

        yield echo


if __name__ == "__main__":
    from mosec import Server

    from bench_peers.mosec_worker import EchoWorker

    server = Server()
    server.append_worker(EchoWorker)
    server.run()

"""What can lie between two ends: a hop that delays or stops, a stock server, a proxy."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tensorhop.v1 import describe_pb2, describe_pb2_grpc

DESCRIBE = describe_pb2.DESCRIPTOR.services_by_name["DescribeService"].full_name


class Hop:
    """A TCP hop on loopback, as a port-forward is one: what the caller sends arrives `delay` seconds later.

    While `cut`, nothing passes in either direction, and connections are taken as the kernel takes them for a process
    that was stopped.
    """

    def __init__(self, target: str, delay: float = 0.0) -> None:
        self._target, self._delay = target, delay
        self.open = threading.Event()
        self.open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.open.set()
        self._listening.close()

    def _accept(self) -> None:
        host, _, port = self._target.rpartition(":")
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection((host, int(port)))
                threading.Thread(target=self._carry, args=(near, far, self._delay), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, 0.0), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, delay: float) -> None:
        with contextlib.suppress(OSError), contextlib.closing(sink):
            while data := source.recv(1 << 16):
                time.sleep(delay)
                self.open.wait()
                sink.sendall(data)


class StockDescribe(describe_pb2_grpc.DescribeServiceServicer):
    """Answers after so many seconds, and counts how often it was called."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, 0

    def Describe(
        self, request: describe_pb2.DescribeRequest, context: grpc.ServicerContext
    ) -> describe_pb2.DescribeResponse:
        self.calls += 1
        time.sleep(self.seconds)
        return describe_pb2.DescribeResponse(text="stock")


@contextlib.contextmanager
def stock(
    seconds: float = 0.0, names: tuple[str, ...] | None = None, workers: int = 1
) -> Iterator[tuple[str, StockDescribe]]:
    """A server as the tutorials have it, with default options and generated stubs.

    Args:
        names: for which it sets its health; None for a server without health.
    """
    server = grpc.server(ThreadPoolExecutor(workers))
    servicer = StockDescribe(seconds)
    describe_pb2_grpc.add_DescribeServiceServicer_to_server(servicer, server)
    if names is not None:
        own = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(own, server)
        for name in names:
            own.set(name, health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", servicer
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def proxy(answer: bytes) -> Iterator[str]:
    """The URL of an HTTP proxy that gives this answer to everything, and closes."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                with near:
                    near.recv(4096)
                    near.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://me:secret@127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)

"""What no method can undercut: one copy in memory, and bytes through a socket with buffers that are used again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tensorhop.orchestrator.bench.method import Echo

HEAD = 8  # bytes of the length that goes first


@contextmanager
def copy() -> Iterator[Echo]:
    buffers = Buffers()

    def echo(array: np.ndarray) -> np.ndarray:
        back = buffers.like(array)
        np.copyto(back, array)
        return back

    yield echo


@contextmanager
def serve() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        host, port = listener.getsockname()
        yield f"{host}:{port}"


def answer(listener: socket.socket) -> None:
    """Send every message of one client back."""
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray()
    head = bytearray(HEAD)
    while receive(connection, memoryview(head)):
        size = int.from_bytes(head, "little")
        if len(buffer) < size:
            buffer = bytearray(size)
        message = memoryview(buffer)[:size]
        receive(connection, message)
        connection.sendall(message)


def receive(connection: socket.socket, buffer: memoryview) -> bool:
    """Fill the buffer; False if the other end has closed the connection."""
    while buffer:
        size = connection.recv_into(buffer)
        if not size:
            return False
        buffer = buffer[size:]
    return True


@contextmanager
def connect(address: str) -> Iterator[Echo]:
    host, port = address.split(":")
    buffers = Buffers()
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def echo(array: np.ndarray) -> np.ndarray:
            back = buffers.like(array)
            connection.sendall(array.nbytes.to_bytes(HEAD, "little"))
            connection.sendall(array.data.cast("B"))
            receive(connection, back.data.cast("B"))
            return back

        yield echo


class Buffers:
    """One array of each size, made when first asked for."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[np.dtype, tuple[int, ...]], np.ndarray] = {}

    def like(self, array: np.ndarray) -> np.ndarray:
        key = array.dtype, array.shape
        if key not in self._arrays:
            self._arrays[key] = np.zeros(array.shape, array.dtype)
        return self._arrays[key]

"""A relay in front of a server, which counts every byte that passes, in both directions."""

import contextlib
import socket
import threading
from collections.abc import Iterator

CHUNK = 256 * 1024


class Relay:
    """Listens on loopback and passes bytes on.

    Counted is what TCP carries: messages with HTTP/2's frames and headers, heartbeats, commands of Redis; not the
    headers of TCP and IP, which are about 3 % more with packets of 1,500 bytes.

    Args:
        target: HOST:PORT, or the path of a unix socket.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._sent = self._answered = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def passed(self) -> tuple[int, int]:
        """Bytes to the server, and bytes back, so far."""
        with self._lock:
            return self._sent, self._answered

    def close(self) -> None:
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                caller, _ = self._listener.accept()
                server = self._connect()
                with self._lock:
                    self._sockets += [caller, server]
                threading.Thread(target=self._pass, args=(caller, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, caller, False), daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._target.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            return server
        host, _, port = self._target.rpartition(":")
        return socket.create_connection((host, int(port)))

    def _pass(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                with self._lock:  # before it arrives, so that nobody sees an answer that is not counted
                    if to_server:
                        self._sent += len(data)
                    else:
                        self._answered += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(target: str) -> Iterator[Relay]:
    """A relay in front of a server; takes what `Relay` does."""
    made = Relay(target)
    try:
        yield made
    finally:
        made.close()

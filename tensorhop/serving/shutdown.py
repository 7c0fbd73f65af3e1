"""Serving until a signal asks for the end."""

import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Protocol


class Stoppable(Protocol):
    """A running server of any kind."""

    def stop(self) -> threading.Event:
        """Drain; the event is set when all is over."""


_ready: list[Callable[[], None]] = []


def when_ready(tell: Callable[[], None]) -> None:
    """Have a function called once this process serves, as a supervisor's child tells its parent."""
    _ready.append(tell)


def run_until_signal(servers: Sequence[Stoppable], ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once.

    `ready` tells the world that the servers are up; it is called when signals are already heard.
    """
    # The kernel may hand a signal to one of gRPC's threads. That does not wake the main thread from a lock, for which
    # Python's handler would then wait for ever; it does write to the wakeup socket.
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, frame: None)
    for tell in (ready, *_ready):
        tell()
    while woken.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
        pass
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    for stopped in [server.stop() for server in servers]:
        stopped.wait()

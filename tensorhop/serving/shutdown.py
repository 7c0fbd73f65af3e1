"""Serving until a signal asks for the end."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Stoppable(Protocol):
    """A running server of any kind."""

    def stop(self) -> threading.Event:
        """Drain; the event is set when all is over."""


_ready: list[Callable[[], None]] = []


def when_ready(tell: Callable[[], None]) -> None:
    """Have a function called once this process serves, as a supervisor's child tells its parent."""
    _ready.append(tell)


@contextmanager
def hearing(*numbers: int) -> Iterator[Callable[[float | None], bool]]:
    """While these signals only wake who waits for them: the function waits so many seconds, and says if one has come.

    A handler that raises would do so anywhere, also within `subprocess`, which then leaves a lock taken for ever.
    Afterwards a signal ends the process at once.
    """
    # The kernel may hand a signal to one of gRPC's threads. That does not wake the main thread from a lock, for which
    # Python's handler would then wait for ever; it does write to the wakeup socket.
    woken, waker = socket.socketpair()

    def wait(seconds: float | None) -> bool:
        woken.settimeout(seconds)
        try:
            while woken.recv(1)[0] not in numbers:
                pass
        except TimeoutError:
            return False
        return True

    with woken, waker:
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in numbers:
            signal.signal(number, lambda received, frame: None)
        try:
            yield wait
        finally:
            signal.set_wakeup_fd(-1)
            for number in numbers:
                signal.signal(number, signal.SIG_DFL)


def run_until_signal(servers: Sequence[Stoppable], ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once.

    `ready` tells the world that the servers are up; it is called when signals are already heard.
    """
    with hearing(signal.SIGTERM, signal.SIGINT) as wait:
        for tell in (ready, *_ready):
            tell()
        wait(None)
    for stopped in [server.stop() for server in servers]:
        stopped.wait()

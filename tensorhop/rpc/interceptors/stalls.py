"""Ends calls whose caller stands still: does not send its request on, or does not take the answer."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

import grpc

from tensorhop.rpc.interceptors.tcp_progress import Progress, connections
from tensorhop.settings import LEAST_RATE

log = logging.getLogger(__name__)

LOOKS = 8  # at a transfer, in the time after which it is given up

Waits = Literal["taken", "sent"]  # for an answer to be taken, or a request to be sent
TELLS: dict[Waits, str] = {"taken": "took nothing of the answer", "sent": "sent nothing of the request"}


@dataclass(eq=False)
class Transfer:
    """A message on its way."""

    context: grpc.ServicerContext
    waits: Waits
    since: float  # when it began, or was last known to go on
    bytes: int | None = None  # of its connection then


class StallWatch:
    """Ends calls whose connection stands still, while they wait for it, for `seconds`.

    Where the kernel does not count (on unix sockets, and other systems than Linux), a single message must be sent or
    taken in that time.

    Args:
        seconds: after which a call is ended; up to a quarter more, because it looks now and then.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._transfers: set[Transfer] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def start(self) -> None:
        """Look from now on, until `close`."""
        threading.Thread(target=self._look, name="stalls", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def begin(self, context: grpc.ServicerContext, waits: Waits) -> Transfer:
        """A transfer begins; it must be given to `end`."""
        transfer = Transfer(context, waits, time.monotonic())
        with self._lock:
            self._transfers.add(transfer)
        return transfer

    def end(self, transfer: Transfer) -> None:
        with self._lock:
            self._transfers.discard(transfer)

    @contextmanager
    def during(self, context: grpc.ServicerContext, waits: Waits) -> Iterator[None]:
        """Around a transfer."""
        transfer = self.begin(context, waits)
        try:
            yield
        finally:
            self.end(transfer)

    def _look(self) -> None:
        pause = self._seconds / LOOKS
        while not self._closed.wait(pause):
            now = time.monotonic()
            with self._lock:
                slow = [one for one in self._transfers if now - one.since >= pause]
            if slow:
                counts = connections()
                for transfer in slow:
                    self._judge(transfer, counts, now)

    def _judge(self, transfer: Transfer, counts: dict[str, Progress], now: float) -> None:
        count = counts.get(unquote(transfer.context.peer()))
        seen = None if count is None else getattr(count, transfer.waits)
        if seen is not None and transfer.bytes is None:
            transfer.bytes = seen
        elapsed = now - transfer.since
        if elapsed < self._seconds:
            return
        if seen is not None and transfer.bytes is not None and seen - transfer.bytes >= LEAST_RATE * elapsed:
            transfer.since, transfer.bytes = now, seen
            return
        self.end(transfer)
        give_up(transfer.context, f"the caller {TELLS[transfer.waits]} for {self._seconds:g} s")


def give_up(context: grpc.ServicerContext, reason: str) -> None:
    """End a call from another thread than its own, with a status that says why."""
    message = f"{reason} (TENSORHOP_MAX_STALL_SECONDS)"
    log.warning("a call from %s was ended: %s", context.peer(), message)
    context.set_code(grpc.StatusCode.DEADLINE_EXCEEDED)  # for those who count and log the call
    try:
        # What is public ends a call without a reason.
        context._rpc_event.call.cancel(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], message)  # type: ignore[attr-defined]
    except AttributeError:
        context.cancel()

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

LOOKS = 25  # at a transfer, in the time after which it is given up
# Streams of a connection get equal parts of it. When it has moved so many times a message's size, that message is not
# on its way: others are.
MOST_STREAMS = 16

Waits = Literal["taken", "sent"]  # for an answer to be taken, or a request to be sent
TELLS: dict[Waits, str] = {"taken": "took nothing of the answer", "sent": "sent nothing of the request"}


@dataclass(eq=False, slots=True)
class Transfer:
    """A message on its way."""

    context: grpc.ServicerContext
    waits: Waits
    size: int  # bytes of the message, at most
    since: float  # when it began, or was last known to go on
    bytes: int | None = None  # of its connection then
    first: int = 0  # of its connection when it began


class StallWatch:
    """Ends calls whose connection stands still, while they wait for it, for `seconds`.

    Where the kernel does not count (on unix sockets, and other systems than Linux), a single message must be sent or
    taken in that time.

    Args:
        seconds: after which a call is ended; up to a tenth more, because it looks now and then.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._transfers: set[Transfer] = set()  # each way to change and to copy a set is atomic
        self._closed = threading.Event()

    def start(self) -> None:
        """Look from now on, until `close`."""
        threading.Thread(target=self._look, name="stalls", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def begin(self, context: grpc.ServicerContext, waits: Waits, size: int) -> Transfer:
        """A transfer of at most so many bytes begins; it must be given to `end`."""
        transfer = Transfer(context, waits, size, time.monotonic())
        self._transfers.add(transfer)
        return transfer

    def end(self, transfer: Transfer) -> None:
        self._transfers.discard(transfer)

    @contextmanager
    def during(self, context: grpc.ServicerContext, waits: Waits, size: int) -> Iterator[None]:
        """Around a transfer. Takes what `begin` does."""
        transfer = self.begin(context, waits, size)
        try:
            yield
        finally:
            self.end(transfer)

    def _look(self) -> None:
        pause, looked = self._seconds / LOOKS, time.monotonic()
        while not self._closed.wait(pause):
            now, before = time.monotonic(), looked
            looked = now
            if now - before > self._seconds / 2:  # this process stood still itself
                self._forgive(now)
                continue
            slow = [one for one in self._transfers.copy() if now - one.since >= pause]
            if slow:
                counts = connections()
                for transfer in slow:
                    self._judge(transfer, counts, now)

    def _forgive(self, now: float) -> None:
        for transfer in self._transfers.copy():
            transfer.since, transfer.bytes = now, None

    def _judge(self, transfer: Transfer, counts: dict[str, Progress], now: float) -> None:
        count = counts.get(unquote(transfer.context.peer()))
        seen = None if count is None else getattr(count, transfer.waits)
        if seen is not None and transfer.bytes is None:
            transfer.bytes = transfer.first = seen
        elif seen is not None and transfer.bytes is not None:
            moves = seen - transfer.bytes >= LEAST_RATE * (now - transfer.since)
            if moves and seen - transfer.first <= MOST_STREAMS * transfer.size:
                transfer.since, transfer.bytes = now, seen
        if now - transfer.since < self._seconds:
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

"""A connection that does not wait for ever: for a request's head, or for a client that does not read."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tensorhop.settings import LEAST_RATE


class Connection(H11Protocol):
    """uvicorn's, closed when it is busy with no request for longer than an upload may take.

    That is: it has sent nothing, or headers bit by bit, or what is left of a body whose request was answered. It is
    closed as well when a client takes its answer too slowly.

    Args:
        most_seconds: how long an upload may take.
        stall_seconds: in which a client must take LEAST_RATE bytes a second of its answer.
        given: what uvicorn makes a connection from.
    """

    def __init__(self, *, most_seconds: float, stall_seconds: float, **given: Any) -> None:
        super().__init__(**given)
        self._most_seconds, self._stall_seconds = most_seconds, stall_seconds

    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None  # while there is more to send than the client takes

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        super().resume_writing()

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait_for_reader(self) -> None:
        self._stall = self.loop.call_later(self._stall_seconds, self._check, self._unsent())

    def _check(self, before: int) -> None:
        """Give up a client that has read next to nothing meanwhile; closing would keep the answer until it does."""
        if before - self._unsent() < LEAST_RATE * self._stall_seconds:
            self.transport.abort()
        else:
            self._wait_for_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._working():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_later(self._most_seconds, self._expire)

    def _working(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expire(self) -> None:
        self._timer = None
        if not self._working():
            self.transport.close()

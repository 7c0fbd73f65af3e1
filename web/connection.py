"""A connection that does not wait for ever for a request's head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tensorhop.settings import limits


class Connection(H11Protocol):
    """uvicorn's, closed when it is busy with no request for longer than an upload may take.

    That is: it has sent nothing, or headers bit by bit, or what is left of a body whose request was answered.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._working():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_later(limits().max_upload_seconds, self._expire)

    def _working(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expire(self) -> None:
        self._timer = None
        if not self._working():
            self.transport.close()

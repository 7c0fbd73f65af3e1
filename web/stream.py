"""The events of a call, awaited, and a client that may leave."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from typing import Generic, Protocol, Self, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

T = TypeVar("T")
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Closable(Protocol[E_co]):
    """What gives events one after the other, such as a Call, and can be closed from another thread."""

    def __next__(self) -> E_co: ...

    def close(self) -> None: ...


class Stream(Generic[E]):
    """The events of a call that `start` makes.

    Args:
        start: makes the call, in a thread of the pool, when the first event is wanted.
        pool: has a thread for each stream that is read.
        check: raises what an event is to fail the request with.
    """

    def __init__(
        self, start: Callable[[], Closable[E]], pool: Executor, check: Callable[[E], None] | None = None
    ) -> None:
        self._start, self._pool, self._check = start, pool, check
        self._call: Closable[E] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        event = await asyncio.get_running_loop().run_in_executor(self._pool, self._next)
        if event is None:
            raise StopAsyncIteration
        if self._check is not None:
            self._check(event)
        return event

    async def ahead(self) -> AsyncGenerator[E, None]:
        """The rest of the events, taken from the call as they come: a client on a slow line does not hold it up.

        At most the whole answer is held, as for a client that wants it in one piece.
        """
        events: asyncio.Queue[E | Exception | None] = asyncio.Queue()

        async def take() -> None:
            try:
                async for event in self:
                    events.put_nowait(event)
            except Exception as error:
                events.put_nowait(error)
            else:
                events.put_nowait(None)

        task = asyncio.create_task(take())
        try:
            while (event := await events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            task.cancel()

    def _next(self) -> E | None:
        if self._call is None:
            self._call = self._start()
            if self._closed:  # since then; the other thread has not seen the call
                self._call.close()
        try:
            return next(self._call)
        except StopIteration:
            return None

    def close(self) -> None:
        """Cancel the call, also one that a thread is about to make."""
        self._closed = True
        if self._call is not None:
            self._call.close()


class Incoming:
    """A request's body as it is received; knows whether all of it was."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.whole = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.whole |= not message.get("more_body", False)
        return message


async def while_there(incoming: Incoming, work: Awaitable[T]) -> T:
    """What the work gives, of a request that was read whole. A client that leaves cancels it.

    Raises:
        ClientDisconnect: the client has left.
    """

    async def gone() -> None:
        while (await incoming())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)

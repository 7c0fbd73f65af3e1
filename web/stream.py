"""The pipeline's events, awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from typing import Self, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from tensorhop.client.call import Call
from tensorhop.client.events import Event
from tensorhop.errors import ServiceFault, step_of
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.values.results import ObjectFault

T = TypeVar("T")


class Stream:
    """The events of a call that `start` makes.

    Args:
        start: makes the call, in a thread of the pool, when the first event is wanted.
        pool: has a thread for each stream that is read.
        continue_on_error: whether an object's fault is an event, or the request's.
    """

    def __init__(self, start: Callable[[], Call[Event]], pool: Executor, continue_on_error: bool = True) -> None:
        self._start, self._pool, self._continue = start, pool, continue_on_error
        self._call: Call[Event] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await asyncio.get_running_loop().run_in_executor(self._pool, self._next)
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, ObjectFault) and not self._continue:
            raise ServiceFault(fault_of(event))
        return event

    async def ahead(self) -> AsyncIterator[Event]:
        """The rest of the events, taken from the pipeline as they come: a client on a slow line does not hold it up.

        At most the whole answer is held, as for a client that wants it in one piece.
        """
        events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

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

    def _next(self) -> Event | None:
        if self._call is None:
            self._call = self._start()
            if self._closed:  # since then; the other thread has not seen the call
                self._call.close()
        return next(self._call, None)

    def close(self) -> None:
        """Cancel the call, also one that a thread is about to make."""
        self._closed = True
        if self._call is not None:
            self._call.close()


def fault_of(event: ObjectFault) -> pb.Fault:
    return pb.Fault(
        step=step_of(event.step),
        service=event.step,
        code=f"CODE_{event.code}",
        field=event.field,
        message=event.message,
        retryable=event.retryable,
    )


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

"""AsyncCall: the events of one request, as an asynchronous iterator."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Generic, NoReturn, Self, TypeVar

import grpc
from grpc import aio

from tensorhop.client.async_remote import AsyncRemote
from tensorhop.client.call import check_timeout, closed, failed_attempt
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.observe import tracing
from tensorhop.rpc.retries import LONGEST_OUTAGE, LOOK_SECONDS, Retry, Tries, needs_connection
from tensorhop.wire.codec import Packet, readable, send

E = TypeVar("E")


class AsyncCall(Generic[E]):
    """What `Call` is to threads. The request is read, encoded and sent when the first event is asked for.

    A task that is cancelled, or a loop that is left, ends the work behind it.

    Args:
        remote: where the method is; asked for within the running loop.
        make: the request and its timeout in seconds; called in a thread, since it may read a file. Raises InvalidInput.
        retry: by which rule it is tried again; None for one attempt only.
        read: makes an event of an answer.
    """

    def __init__(
        self,
        remote: Callable[[], AsyncRemote],
        make: Callable[[], tuple[Packet[Any], float | None]],
        retry: Retry | None,
        read: Callable[[Packet[Any]], E],
    ) -> None:
        self._open_remote, self._make, self._read = remote, make, read
        self._retry, self._tries = retry, None if retry is None else Tries(retry, resumes=False)
        self._began, self._deadline = time.monotonic(), math.inf
        self._request: bytes | None = None
        self._call: Any = None
        self._closed = asyncio.Event()
        self._done: BaseException | None = None  # what every further `anext` raises

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        """Raises ServiceFault: the request as a whole failed, or was closed. InvalidInput: it is not allowed."""
        if self._done is not None:
            raise self._done
        try:
            answer = await self._answer()
            if answer is None:
                raise StopAsyncIteration
            return self._read(readable(answer))
        except (ServiceFault, InvalidInput, StopAsyncIteration, OSError) as error:
            self._done = error
            if self._call is not None:
                self._call.cancel()
            raise

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncCall is a request that is under way, and cannot be pickled; its events can")

    def __del__(self) -> None:
        """A loop that was left by `break`: gRPC's own objects would hold the call until the next garbage collection."""
        if self._call is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call.cancel)

    async def aclose(self) -> None:
        """Cancel what is still under way, as `contextlib.aclosing` asks; a task that waits for an event is told."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    async def _answer(self) -> Packet[Any] | None:
        if self._request is None and self._call is None:
            self._request = await asyncio.to_thread(self._encoded)
        while True:
            try:
                call = self._call = self._call or self._open()
                answer = await call.read()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._closed.is_set() and not (task and task.cancelling()):
                    raise closed() from None
                raise
            except grpc.RpcError as error:
                await self._try_again(failed_attempt(error, self._open_remote().address))
                continue
            if answer is aio.EOF:
                if self._retry is not None:
                    self._retry.succeeded()
                return None
            self._request = None  # it is not sent again, and may be large
            if self._tries is not None:
                self._tries.answered()
            packet: Packet[Any] = answer
            return packet

    def _encoded(self) -> bytes:
        packet, timeout = self._make()
        timeout = check_timeout(timeout)
        self._deadline = math.inf if timeout is None else self._began + timeout
        return send(packet)

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _open(self) -> Any:
        if self._closed.is_set():
            raise closed()
        assert self._request is not None
        self._loop = asyncio.get_running_loop()
        timeout = None if math.isinf(self._deadline) else self._left()
        return self._open_remote().call(self._request, timeout, tracing.carried())

    async def _try_again(self, fault: ServiceFault) -> None:
        """Return when the next attempt may be made. Raises ServiceFault: the given one, if there shall be none."""
        pause = None if self._tries is None else self._tries.pause(fault, self._left())
        if pause is None or await self._waited_in_vain(pause):
            raise fault
        if needs_connection(fault) and not await self._connected():
            raise fault
        assert self._tries is not None
        if not self._tries.allowed(fault):
            raise fault
        self._call = None

    async def _waited_in_vain(self, seconds: float) -> bool:
        """Whether the request was closed within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return False
        return True

    async def _connected(self) -> bool:
        end = time.monotonic() + min(LONGEST_OUTAGE, self._left())
        while not self._closed.is_set():
            left = max(0.0, end - time.monotonic())
            if await self._open_remote().ready(min(LOOK_SECONDS, left)):
                return True
            if not left:
                break
        return False

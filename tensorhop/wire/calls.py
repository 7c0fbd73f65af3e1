"""Calls that can be cancelled whatever stands between us and gRPC.

Instrumentation wraps `grpc.insecure_channel` and `grpc.secure_channel`, and may answer a call with a generator: it has
no `cancel`, and while one thread waits in it, no other can close it. So the innermost channel, gRPC's own, is one of
ours that tells each request which call was made for it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from typing import Any, Self

import grpc

_making = threading.Lock()
Making = AbstractContextManager[None]  # around the making of each call on a channel; entered again and again
CANCELLED: int = grpc.StatusCode.CANCELLED.value[0]


class Cancelled(grpc.RpcError):
    """What a cancelled call raises where gRPC does not say it itself."""

    DETAILS = "the call was cancelled"

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return self.DETAILS

    def __str__(self) -> str:
        return self.DETAILS


class Closed(Cancelled):
    """What a call raises whose channel was closed before it was made: the same as if it had been under way."""

    DETAILS = "Channel closed!"  # gRPC's own words


class Handle:
    """What cancels a call, from any thread, also one that is not made yet."""

    __slots__ = ("_end", "cancelled")

    def __init__(self) -> None:
        self.cancelled = False
        self._end: Callable[[], object] | None = None

    # Without a lock: each sets its own mark before it looks at the other's, and to cancel a call again does nothing.

    def made(self, end: Callable[[], object]) -> None:
        """gRPC has made the call, which `end` cancels."""
        self._end = end
        if self.cancelled:
            end()

    def cancel(self) -> bool:
        """Cancel the call, now or when it is made; returns whether it is made already."""
        self.cancelled = True
        end = self._end
        if end is not None:
            end()
        return end is not None


class UnaryCall(Handle):
    """The call of a unary method, to iterate over. It is made when its answer is asked for.

    The thread that asks makes the call and waits for it, in one batch of operations, as a blocking call of gRPC's does;
    a stream of one answer takes five batches and 130 us more. Any other thread can cancel it.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[Handle], Any]) -> None:
        super().__init__()
        self._answer: Callable[[Handle], Any] | None = answer

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        answer, self._answer = self._answer, None
        if answer is None:
            raise StopIteration
        return answer(self)


class UnaryMethod:
    """A unary method of gRPC's own channel, whose calls can be cancelled.

    gRPC's own blocking call cannot. So its method gets a channel that tells us of each call that is made on it.

    Args:
        real: of gRPC's own channel.
        making: around the making of each call.
    """

    def __init__(self, real: Any, making: Making) -> None:
        self._real, self._handles = real, threading.local()
        real._channel = TellingCalls(real._channel, self._handles, making)

    def __call__(self, request: Any, **more: Any) -> UnaryCall:
        return UnaryCall(partial(self._answer, request, more))

    def _answer(self, request: Any, more: dict[str, Any], handle: Handle) -> Any:
        """Make a call, and wait for its answer. Raises grpc.RpcError."""
        if handle.cancelled:
            raise Cancelled
        self._handles.now = handle
        return self._real(request, **more)


class TellingCalls:
    """The channel below gRPC's own class of channels, which tells a thread's handle of the call that it makes."""

    __slots__ = ("_handles", "_making", "_real")

    def __init__(self, real: Any, handles: threading.local, making: Making) -> None:
        self._real, self._handles, self._making = real, handles, making

    def segregated_call(self, *args: Any, **more: Any) -> Any:
        try:
            with self._making:
                call = self._real.segregated_call(*args, **more)
        except ValueError as error:  # which is all that gRPC raises, too
            raise Closed from error
        self._handles.now.made(partial(call.cancel, CANCELLED, Cancelled.DETAILS))
        return call


def unary_method(channel: grpc.Channel, path: str, write: Any, read: Any, making: Making) -> UnaryMethod | None:
    """A unary method whose blocking calls can be cancelled; None on a channel that is wrapped, or of another gRPC."""
    if type(channel) is not import_module("grpc._channel").Channel:
        return None
    real: Any = channel.unary_unary(path, write, read)
    below = getattr(real, "_channel", None)
    return UnaryMethod(real, making) if hasattr(below, "segregated_call") else None


class WrappedCall:
    """Answers that somebody else gives on, with the `cancel` that they lack.

    Args:
        answers: anything to iterate over.
        handle: of the call behind them.
    """

    def __init__(self, answers: Any, handle: Handle) -> None:
        self._answers: Iterator[Any] | None = iter(answers)
        self._handle = handle

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._answers is None:
            raise Cancelled
        answer = next(self._answers)
        if self._handle.cancelled:
            self._drop()
            raise Cancelled
        return answer

    def cancel(self) -> None:
        """End the call; a thread that waits for its next answer is told CANCELLED."""
        if not self._handle.cancel():
            self._drop()

    def _drop(self) -> None:
        """For a call that is not made yet, or of which nobody told us: gRPC ends one that nobody holds any more."""
        answers, self._answers = self._answers, None
        close = getattr(answers, "close", None)
        if close is not None:
            with contextlib.suppress(ValueError):  # another thread waits in it, and drops it when it is answered
                close()


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed call; UNKNOWN where whoever raised it says none."""
    code = getattr(error, "code", None)
    return (code() if callable(code) else None) or grpc.StatusCode.UNKNOWN


class InnermostMethod(grpc.UnaryStreamMultiCallable):  # type: ignore[type-arg]  # generic for type checkers alone
    """A method of gRPC's own channel, which tells the request's handle of the call."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __call__(self, request: Any, *args: Any, **more: Any) -> Any:
        call = self._real(request, *args, **more)
        handle = getattr(request, "handle", None)
        if isinstance(handle, Handle):
            handle.made(call.cancel)
        return call


def make_channel(make: Callable[[], grpc.Channel]) -> grpc.Channel:
    """A channel that `make` opens by grpc.insecure_channel or grpc.secure_channel.

    If those are wrapped, the channel below the wrapping is one that tells handles of their calls.
    """
    channel = make()
    inner: Any = import_module("grpc._channel")  # there is no public name for gRPC's own channel
    if type(channel) is inner.Channel:
        return channel
    channel.close()
    with _making:
        plain = inner.Channel
        inner.Channel = _telling(plain)
        try:
            return make()
        finally:
            inner.Channel = plain


def _telling(plain: Any) -> Any:
    """gRPC's own class of channels, with methods that tell handles of their calls."""

    def unary_stream(self: Any, *args: Any, **more: Any) -> InnermostMethod:
        return InnermostMethod(plain.unary_stream(self, *args, **more))

    return type("TellingChannel", (plain,), {"unary_stream": unary_stream})

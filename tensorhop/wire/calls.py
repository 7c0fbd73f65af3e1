"""Calls that can be cancelled whatever stands between us and gRPC.

Instrumentation wraps `grpc.insecure_channel` and `grpc.secure_channel`, and may answer a call with a generator: it has
no `cancel`, and while one thread waits in it, no other can close it. So the innermost channel, gRPC's own, is one of
ours that tells each request which call was made for it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import grpc

_making = threading.Lock()


class Cancelled(grpc.RpcError):
    """What a cancelled call raises where gRPC does not say it itself."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "the call was cancelled"


class Handle:
    """What cancels a call, from any thread, also one that is not made yet."""

    def __init__(self) -> None:
        self.cancelled = False
        self._call: Any = None
        self._lock = threading.Lock()

    def made(self, call: Any) -> None:
        """gRPC has made the call."""
        with self._lock:
            self._call = call
        if self.cancelled:
            call.cancel()

    def cancel(self) -> bool:
        """Cancel the call, now or when it is made; returns whether it is made already."""
        with self._lock:
            self.cancelled, call = True, self._call
        if call is not None:
            call.cancel()
        return call is not None


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
            handle.made(call)
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

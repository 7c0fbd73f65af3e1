"""How requests come in and answers go out: a caller that stands still is given up, and each call knows its caller."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tensorhop.errors import Overloaded, fault_of
from tensorhop.rpc.fairness.callers import Caller, use_caller
from tensorhop.rpc.fairness.shares import OVERSHOOT, FairShare
from tensorhop.rpc.interceptors.handlers import Handler, behavior_of
from tensorhop.rpc.interceptors.stalls import StallWatch
from tensorhop.rpc.status import to_status
from tensorhop.wire.codec import MAX_REST, Packet

# For reflection, whose methods take streams of requests: a caller that leaves one open holds a thread of these alone.
MOST_ASKED = 16  # requests to health and info that are received at once; they have threads of their own
REFLECTION = ThreadPoolExecutor(4, thread_name_prefix="reflection")


class Transfers:
    """Watches both ways of every call; what wraps a handler last.

    gRPC calls a handler when its request has come, in a thread that has waited for it, which nobody can end. A handler
    of a stream is called before: to gRPC, all handlers take streams here, of one request each. On the wire it is the
    same.

    Args:
        service: name of the service.
        most: requests that are received at once; more are refused, by each caller's share.
        largest: bytes of a request.
        stalls: ends those that stand still.
        caller_of: who makes a call.
    """

    def __init__(
        self,
        service: str,
        most: int,
        largest: int,
        stalls: StallWatch,
        caller_of: Callable[[grpc.ServicerContext], Caller],
    ) -> None:
        self._service, self._largest, self._stalls, self._caller_of = service, largest, stalls, caller_of
        self._receiving = FairShare(most)
        self._asked = FairShare(MOST_ASKED)
        # Streams of requests hold a thread each as long as they are open, so they have threads of their own.
        self._open = FairShare(most)
        self._streaming = ThreadPoolExecutor(OVERSHOOT * most, thread_name_prefix=f"{service}-streams")

    def wrap(self, method: str, handler: Handler) -> Handler:
        """A method's handler, but for a refusal, which reads nothing."""
        if handler.stream_unary:
            return handler
        given = (handler.request_deserializer, handler.response_serializer)
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(self._streams(handler.stream_stream), *given)
        behavior = behavior_of(handler)
        if hasattr(behavior, "tell_fault"):
            return grpc.stream_stream_rpc_method_handler(self._requests(behavior), *given)
        pool = getattr(behavior, "experimental_thread_pool", None)
        room = self._receiving if pool is None else self._asked
        if getattr(behavior, "experimental_non_blocking", False):
            wrapped = self._watched(behavior, room)
        elif handler.unary_unary:
            wrapped = self._unary(behavior, room)
        else:
            wrapped = self._stream(behavior, room)
        if pool is not None:
            wrapped.experimental_thread_pool = pool  # type: ignore[attr-defined]
        make = grpc.stream_unary_rpc_method_handler if handler.unary_unary else grpc.stream_stream_rpc_method_handler
        return make(wrapped, *given)

    def _unary(self, behavior: Callable[..., Any], room: FairShare) -> Callable[..., Any]:
        def unary(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            answer = behavior(self._receive(requests, context, room), context)
            # gRPC sends it when this has returned.
            transfer = self._stalls.begin(context, "taken", size_of(answer))
            if not context.add_callback(lambda: self._stalls.end(transfer)):
                self._stalls.end(transfer)  # the call is over already
            return answer

        return unary

    def _stream(self, behavior: Callable[..., Any], room: FairShare) -> Callable[..., Any]:
        def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            for answer in behavior(self._receive(requests, context, room), context):
                with self._stalls.during(context, "taken", size_of(answer)):
                    yield answer  # gRPC takes up this generator when it has sent the answer

        return stream

    def _requests(self, behavior: Callable[..., Any]) -> Callable[..., Any]:
        """Of a method that takes a stream: the behavior is called for one request after the other.

        A caller may leave the stream open without any request; as many streams may be open as calls may be under way.
        """

        def requests(given: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            caller = self._caller_of(context)
            use_caller(caller)
            if not self._open.take(caller):
                many = f"{self._open.held} streams of requests are open, the most that may be; try again later"
                context.abort_with_status(to_status(fault_of(Overloaded(many, 0.1), self._service)))
            try:
                calls = StreamedCalls(context)
                for request in given:
                    for answer in behavior(request, calls.next()):
                        with self._stalls.during(context, "taken", size_of(answer)):
                            yield answer
            finally:
                self._open.give_back(caller)

        requests.experimental_thread_pool = self._streaming  # type: ignore[attr-defined]
        return requests

    def _watched(self, behavior: Callable[..., Any], room: FairShare) -> Callable[..., Any]:
        """Of a handler that answers by a callback, as the health's Watch: its answers are too small to wait for."""

        def watch(requests: Iterator[Any], context: grpc.ServicerContext, send: Callable[[Any], None]) -> Any:
            return behavior(self._receive(requests, context, room), context, send)

        watch.experimental_non_blocking = True  # type: ignore[attr-defined]
        return watch

    def _streams(self, behavior: Callable[..., Any]) -> Callable[..., Any]:
        def streams(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            for answer in behavior(self._each(requests, context), context):
                with self._stalls.during(context, "taken", size_of(answer)):
                    yield answer

        streams.experimental_thread_pool = REFLECTION  # type: ignore[attr-defined]
        return streams

    def _each(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        while True:
            with self._stalls.during(context, "sent", self._largest):
                request = next(requests, None)
            if request is None:
                return
            yield request

    def _receive(self, requests: Iterator[Any], context: grpc.ServicerContext, room: FairShare) -> Any:
        """The request, as soon as all of it is there. Ends the call if it may not be received, or does not come."""
        caller = self._caller_of(context)
        use_caller(caller)
        if not room.take(caller):
            many = f"{room.held} requests are being received, the most that may be; try again later"
            context.abort_with_status(to_status(fault_of(Overloaded(many, 0.1), self._service)))
        transfer = self._stalls.begin(context, "sent", self._largest)
        try:
            request = next(requests, None)
        finally:
            self._stalls.end(transfer)
            room.give_back(caller)
        if request is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "the method takes exactly one request")
        return request


class StreamedCalls:
    """Makes a context for each request of a stream: what was to be called at the end of one is forgotten with it."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self._now: RequestContext | None = None
        self._over = not context.add_callback(self._end)

    def next(self) -> Any:
        """The context of the next request, while the former one's is over."""
        if self._now is not None:
            self._now.end()
        self._now = RequestContext(self._context)
        if self._over:
            self._now.end()
        return self._now

    def _end(self) -> None:
        self._over = True
        if self._now is not None:
            self._now.end()


class RequestContext:
    """The context of a stream, as one of its requests sees it: what one ends with is not how the stream ends."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self._code: grpc.StatusCode | None = None
        self._callbacks: list[Callable[[], None]] | None = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode | None:
        """The status that the request ends with, if it has one; otherwise that of the stream."""
        return self._code or self._context.code()  # type: ignore[attr-defined]  # which the stubs do not know

    def add_callback(self, callback: Callable[[], None]) -> bool:
        with self._lock:
            if self._callbacks is None:
                return False
            self._callbacks.append(callback)
            return True

    def end(self) -> None:
        """The request was answered, or its caller is gone."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()


def size_of(answer: Any) -> int:
    """Bytes of an answer, and some more."""
    if isinstance(answer, Packet):
        return int(MAX_REST + answer.payloads.nbytes + answer.message.ByteSize())
    return MAX_REST  # of health or reflection

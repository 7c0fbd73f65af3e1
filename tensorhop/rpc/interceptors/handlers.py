"""Wrapping of gRPC's method handlers, which all interceptors do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:  # generic for type checkers alone
    Handler = grpc.RpcMethodHandler


# What a behavior says of itself, which those that wrap it must say, too:
# gRPC looks for the threads on the function that it is given;
# `tell_fault` makes, of a fault and a request, an answer. It marks a method that takes a stream of requests. The
# behavior is called for each of them, and a fault of one is told in the stream, which goes on.
SAID = ("experimental_thread_pool", "tell_fault")


class WrappingInterceptor(grpc.ServerInterceptor):
    """Wraps each method's handler once: gRPC asks for it at each call, and a call goes through fewer hands so.

    Args:
        wraps: of the method's path and its handler, each makes the handler that wraps it; the innermost first.
    """

    def __init__(self, *wraps: Callable[[str, Handler], Handler]) -> None:
        self._wraps = wraps
        self._wrapped: dict[tuple[str, int], tuple[Handler, Handler]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(details)
        if handler is None:
            return None
        key = (details.method, id(handler))  # the handler is kept beside what wraps it, and so its id is its own
        known = self._wrapped.get(key)
        if known is None:
            wrapped = handler
            for wrap in self._wraps:
                wrapped = wrap(details.method, wrapped)
            known = self._wrapped[key] = handler, wrapped
        return known[1]


def wrap_handler(handler: Handler, guarded: Any) -> Handler:
    """A handler with another behavior, but of the same kind and with the same serializers and threads."""
    behavior = behavior_of(handler)
    for name in SAID:
        if hasattr(behavior, name):
            setattr(guarded, name, getattr(behavior, name))
    if handler.unary_stream:
        make = grpc.unary_stream_rpc_method_handler
    elif handler.unary_unary:
        make = grpc.unary_unary_rpc_method_handler
    else:  # a refusal
        make = grpc.stream_unary_rpc_method_handler
    return make(guarded, handler.request_deserializer, handler.response_serializer)


def behavior_of(handler: Handler) -> Callable[..., Any]:
    """A handler's function, which takes one request, also of a stream; only a refusal takes a stream itself."""
    behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary
    assert behavior is not None
    return behavior


def is_own(method: str) -> bool:
    """Whether a method is a service's own, not one of those that gRPC defines, such as health and reflection."""
    return not method.startswith("/grpc.")

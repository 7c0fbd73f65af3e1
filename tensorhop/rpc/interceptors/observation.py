"""Every call is observed: metrics, a line in the log, and a span."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc

from tensorhop.observe import tracing
from tensorhop.observe.metrics import CALL_SECONDS, CALLS
from tensorhop.request_id import REQUEST_ID, text_of, usable
from tensorhop.rpc.channel import INFO
from tensorhop.rpc.interceptors.handlers import Handler, behavior_of, is_own, wrap_handler
from tensorhop.wire.codec import Packet, has_field

log = logging.getLogger(__name__)

INFO_PATH = f"/{INFO.full_name}/"
NO_ID = "-"


class Observation:
    """Observes the calls that do work, but not those to health, reflection and info."""

    def __init__(self, service: str) -> None:
        self._service = service

    def wrap(self, method: str, handler: Handler) -> Handler:
        """A method's handler, also a refusal, but for the methods that say how a server is."""
        if not is_own(method) or method.startswith(INFO_PATH):
            return handler
        behavior = behavior_of(handler)
        seen = Method(self._service, method)
        return wrap_handler(handler, partial(stream if handler.response_streaming else unary, seen, behavior))


class Method:
    """One method of one service, and its metrics."""

    def __init__(self, service: str, method: str) -> None:
        self.path, name = method, method.rpartition("/")[2]
        self._well = CALLS.labels(service, name, grpc.StatusCode.OK.name)
        self._otherwise = partial(CALLS.labels, service, name)
        self._seconds = CALL_SECONDS.labels(service, name)

    def end(self, started: float, code: grpc.StatusCode, request_id: str) -> None:
        seconds = time.monotonic() - started
        self._seconds.observe(seconds)
        (self._well if code is grpc.StatusCode.OK else self._otherwise(code.name)).inc()
        if log.isEnabledFor(logging.INFO):
            facts = {"method": self.path[1:], "code": code.name, "seconds": round(seconds, 6), "request_id": request_id}
            log.info("%(method)s %(code)s %(seconds).3f s request %(request_id)s", facts, extra={"call": facts})


def unary(method: Method, behavior: Callable[..., Any], request: Any, context: grpc.ServicerContext) -> Any:
    started, request_id = time.monotonic(), id_of(request, text_of(context, REQUEST_ID))
    span = tracing.begin_server(method.path, context.invocation_metadata(), request_id)
    code = grpc.StatusCode.CANCELLED
    try:
        answer = behavior(request, context)
        code = grpc.StatusCode.OK
        return answer
    finally:
        code = code_of(context) or code
        method.end(started, code, request_id)
        tracing.end(span, code)


def stream(method: Method, behavior: Callable[..., Any], request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    started, request_id = time.monotonic(), id_of(request, text_of(context, REQUEST_ID))
    span = tracing.begin_server(method.path, context.invocation_metadata(), request_id)
    code = grpc.StatusCode.CANCELLED  # gRPC closes this generator if the caller stops reading
    try:
        for answer in behavior(request, context):
            if request_id == NO_ID:  # the pipeline has made one, which its answers carry
                request_id = id_of(answer)
            yield answer
        code = grpc.StatusCode.OK
    finally:
        code = code_of(context) or code
        method.end(started, code, request_id)
        tracing.end(span, code)


def code_of(context: grpc.ServicerContext) -> grpc.StatusCode | None:
    """The status that a handler has set, or None."""
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]  # which the stubs do not know
    return code


def id_of(packet: Any, elsewhere: str = "") -> str:
    """The request's id in its message, or else elsewhere; NO_ID if there is none, or if it cannot be printed."""
    known = isinstance(packet, Packet) and has_field(packet.message.DESCRIPTOR, "request_id")
    given = (packet.message.request_id if known else "") or elsewhere
    return given if usable(given) else NO_ID

"""The interceptor that observes every call: metrics, a line in the log, and a span."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc

from tensorhop.observe import tracing
from tensorhop.observe.metrics import CALL_SECONDS, CALLS, CALLS_UNDER_WAY
from tensorhop.request_id import REQUEST_ID, metadata_of, usable
from tensorhop.rpc.channel import INFO
from tensorhop.rpc.interceptors.handlers import Handler, WrappedHandlers, behavior_of, is_own, wrap_handler

log = logging.getLogger(__name__)

INFO_PATH = f"/{INFO.full_name}/"
NO_ID = "-"
FREQUENT = (grpc.StatusCode.OK,)  # whose label is looked up once; others are in the metrics only after such a call


class ObservationInterceptor(grpc.ServerInterceptor):
    """Observes the calls that do work, but not those to health, reflection and info."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._wrapped = WrappedHandlers(self._wrap)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(details)
        if handler is None or not is_own(details.method) or details.method.startswith(INFO_PATH):
            return handler
        return self._wrapped.of(details.method, handler)

    def _wrap(self, method: str, handler: Handler) -> Handler:
        behavior = behavior_of(handler)
        seen = Method(self._service, method)
        return wrap_handler(handler, partial(stream if handler.response_streaming else unary, seen, behavior))


class Method:
    """One method of one service, and its metrics."""

    def __init__(self, service: str, method: str) -> None:
        self.path, name = method, method.rpartition("/")[2]
        self._ended = {code: CALLS.labels(service, name, code.name) for code in FREQUENT}
        self._ended_rarely = partial(CALLS.labels, service, name)
        self._seconds = CALL_SECONDS.labels(service, name)
        self._under_way = CALLS_UNDER_WAY.labels(service)

    def begin(self) -> float:
        self._under_way.inc()
        return time.monotonic()

    def end(self, started: float, code: grpc.StatusCode, request_id: str) -> None:
        seconds = time.monotonic() - started
        self._under_way.dec()
        self._seconds.observe(seconds)
        (self._ended.get(code) or self._ended_rarely(code.name)).inc()
        if log.isEnabledFor(logging.INFO):
            facts = {"method": self.path[1:], "code": code.name, "seconds": round(seconds, 6), "request_id": request_id}
            log.info("%(method)s %(code)s %(seconds).3f s request %(request_id)s", facts, extra={"call": facts})


def unary(method: Method, behavior: Callable[..., Any], request: Any, context: grpc.ServicerContext) -> Any:
    started, metadata = method.begin(), metadata_of(context)
    request_id = id_of(request, metadata)
    span = tracing.begin_server(method.path, metadata, request_id)
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
    started, metadata = method.begin(), metadata_of(context)
    request_id = id_of(request, metadata)
    span = tracing.begin_server(method.path, metadata, request_id)
    code = grpc.StatusCode.CANCELLED  # gRPC closes this generator if the caller stops reading
    try:
        for answer in behavior(request, context):
            if request_id == NO_ID:  # the pipeline has made one, which its answers carry
                request_id = id_of(answer, {})
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


def id_of(packet: Any, metadata: dict[str, str]) -> str:
    """The request's id in its message or metadata; NO_ID if there is none, or if it cannot be printed."""
    given = getattr(getattr(packet, "message", None), "request_id", "") or metadata.get(REQUEST_ID, "")
    return given if usable(given) else NO_ID

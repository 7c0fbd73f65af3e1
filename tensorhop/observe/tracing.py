"""Traces: which services a photo went through, and how long each took. Without an OTLP endpoint they are off, and free.

W3C's `traceparent` in the metadata carries a trace from process to process. OpenTelemetry's own current span is not
used, because a request's calls come from several threads.
"""

import atexit
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import grpc

from tensorhop.errors import InvalidInput
from tensorhop.extras import install_command

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = {"grpc": "grpc", "http/protobuf": "http"}

PROVIDERS = (
    ("opentelemetry.trace", "get_tracer_provider"),
    ("opentelemetry.metrics", "get_meter_provider"),
    ("opentelemetry._logs", "get_logger_provider"),
)
END_SECONDS = 1.0  # for which the end of a process waits until the last spans are sent

_tracer: Any = None  # OpenTelemetry's, once tracing is on
_thread = threading.local()  # its `span` is that of the call that the thread serves


def start_tracing(name: str) -> None:
    """Send spans to the endpoint in OpenTelemetry's own variables. Does nothing if they name no endpoint.

    Args:
        name: of the service, if OTEL_SERVICE_NAME names no other.

    Raises:
        InvalidInput: an endpoint is named, but its packages are not installed, or the protocol is not in PROTOCOLS.
    """
    _finish_what_others_started()
    given = next((variable for variable in ENDPOINTS if os.environ.get(variable)), None)
    if given is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = protocol or "grpc"
    if protocol not in PROTOCOLS:
        raise InvalidInput("OTEL_EXPORTER_OTLP_PROTOCOL", f"is {protocol!r}; it must be one of {', '.join(PROTOCOLS)}")
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = import_module(f"opentelemetry.exporter.otlp.proto.{PROTOCOLS[protocol]}.trace_exporter")
    except ImportError as error:
        raise InvalidInput(
            given, f"is set, and traces need packages; install them with: {install_command('otel')}"
        ) from error
    attributes = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": name}
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    sender = exporter.OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(sender))
    trace_with(provider)
    Finisher(provider, sender)


class Finisher:
    """Sends the last spans at the end of the process, and does not wait long for a collector that is not there.

    OpenTelemetry's own end tries again for 10 s and more. It has a thread of its own from the start, because none can
    be started while Python ends.

    Args:
        provider: of OpenTelemetry, with `shutdown`.
        sender: its exporter, whose attempts can be ended, if it is known.
    """

    def __init__(self, provider: Any, sender: Any = None) -> None:
        self._provider, self._sender = provider, sender
        self._wanted, self._done = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name="last spans", daemon=True).start()
        atexit.register(self.finish)

    def _work(self) -> None:
        self._wanted.wait()
        self._provider.shutdown()
        self._done.set()

    def finish(self) -> None:
        """Send what is left, for at most END_SECONDS."""
        self._wanted.set()
        if self._done.wait(END_SECONDS) or self._sender is None:
            return
        try:  # has its attempts end
            self._sender.shutdown(timeout_millis=0)
        except TypeError:  # that by HTTP takes no time
            self._sender.shutdown()
        self._done.wait(END_SECONDS / 10)


def _finish_what_others_started() -> None:
    """The same end for the providers that `opentelemetry-instrument` has set up before this program began."""
    for module, getter in PROVIDERS:
        if module in sys.modules:
            provider = getattr(sys.modules[module], getter)()
            if hasattr(provider, "shutdown"):  # the stand-in that is there without the SDK has none
                Finisher(provider)


def trace_with(provider: Any) -> None:
    """Make spans with a TracerProvider of OpenTelemetry; None turns tracing off."""
    global _tracer
    _tracer = None if provider is None else provider.get_tracer("tensorhop")


def begin_server(method: str, metadata: Iterable[tuple[str, str | bytes]], request_id: str) -> Any:
    """The span of a call that this thread serves from now on, or None.

    Args:
        method: its path, such as "/tensorhop.v1.DetectService/Detect".
        metadata: the call's; its `traceparent` names the parent span.
    """
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({key: value for key, value in metadata if isinstance(value, str)})
    service, _, name = method[1:].partition("/")
    attributes = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": name,
        "tensorhop.request_id": request_id,
    }
    _thread.span = _tracer.start_span(method[1:], context=parent, kind=SpanKind.SERVER, attributes=attributes)
    return _thread.span


def current() -> Any:
    """The span of the call that this thread serves, or None."""
    return getattr(_thread, "span", None) if _tracer is not None else None


def begin_client(name: str, parent: Any, about: Mapping[str, Any]) -> Any:
    """The span of a call to another service, or None.

    Args:
        about: what the span says of the call, each under tensorhop.NAME.
    """
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind, set_span_in_context

    context = None if parent is None else set_span_in_context(parent)
    attributes = {f"tensorhop.{key}": value for key, value in about.items()}
    return _tracer.start_span(name, context=context, kind=SpanKind.CLIENT, attributes=attributes)


def carried(span: Any = None) -> list[tuple[str, str]]:
    """The metadata that makes a call part of a span: of the given one, or else of the caller's program's own one."""
    if span is None and "opentelemetry.trace" not in sys.modules:
        return []
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, None if span is None else set_span_in_context(span))
    return list(carrier.items())


def end(span: Any, code: grpc.StatusCode | None) -> None:
    """End the span of a call with the call's status."""
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    code = code or grpc.StatusCode.UNKNOWN
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code != grpc.StatusCode.OK:
        span.set_status(StatusCode.ERROR, code.name)
    span.end()
    if getattr(_thread, "span", None) is span:
        _thread.span = None

"""One photo's trace through all services, with OpenTelemetry's own SDK."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.observe import tracing


@pytest.fixture
def provider():
    return TracerProvider()


@pytest.fixture
def spans(provider):
    """The spans that have ended, by name."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(provider)
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    tracing.trace_with(None)


PROCESS = "tensorhop.v1.PipelineService/Process"


def test_a_photo_is_followed_through_all_services_and_objects(spans, client, cat):
    list(client.process(cat, cache=False, max_objects=1, request_id="cat-1"))
    found = spans()
    root = found[PROCESS]
    assert (root.kind, root.parent, root.attributes["tensorhop.request_id"]) == (SpanKind.SERVER, None, "cat-1")
    for name in ("describe", "detect", "segment", "postprocess"):
        asked = found[name]
        title = name.capitalize()
        answered = found[f"tensorhop.v1.{title}Service/{title}"]
        assert asked.kind == SpanKind.CLIENT
        assert asked.parent.span_id == root.context.span_id
        assert answered.parent.span_id == asked.context.span_id
        assert answered.context.trace_id == root.context.trace_id
        assert asked.attributes["rpc.grpc.status_code"] == answered.attributes["rpc.grpc.status_code"] == 0
    assert found["postprocess"].attributes["tensorhop.object"] == 0
    assert root.end_time >= max(span.end_time for span in found.values())


def test_a_callers_own_span_is_the_parent(spans, provider, client, cat):
    with provider.get_tracer("program").start_as_current_span("upload") as upload:
        list(client.process(cat, masks=[cat[..., 0]]))
    assert spans()[PROCESS].parent.span_id == upload.context.span_id


def test_a_failure_is_marked(spans, client, cat):
    with pytest.raises(ServiceFault):
        list(client.process(cat, max_objects=-1))
    root = spans()[PROCESS]
    assert root.attributes["rpc.grpc.status_code"] == 3
    assert not root.status.is_ok


def test_without_an_endpoint_there_are_none(monkeypatch, client, cat):
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    tracing.start_tracing("x")
    assert tracing._tracer is None
    assert tracing.begin_server("/a/b", (), "") is tracing.begin_client("a", None, {}) is tracing.current() is None


def test_an_unknown_protocol_is_refused(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(InvalidInput, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'"):
        tracing.start_tracing("x")


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """What a collector would get by OTLP."""

    def __init__(self):
        self.got = []

    def Export(self, request, context):
        self.got += request.resource_spans
        return trace_service_pb2.ExportTraceServiceResponse()


def test_spans_go_where_the_endpoint_says(monkeypatch):
    receiver, server = Receiver(), grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    try:
        tracing.start_tracing("tensorhop-detect")
        tracing.end(tracing.begin_server("/a.Service/Method", (), "r1"), grpc.StatusCode.OK)
        tracing._tracer.span_processor.shutdown()
    finally:
        tracing.trace_with(None)
        server.stop(0).wait()
    (got,) = receiver.got
    assert any(pair.value.string_value == "tensorhop-detect" for pair in got.resource.attributes)
    assert [span.name for scope in got.scope_spans for span in scope.spans] == ["a.Service/Method"]


OURS = """
tracing.start_tracing("x")
make = lambda: tracing.begin_server("/a.Service/Method", (), "r")
"""
OTHERS = """  # as opentelemetry-instrument does it
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
tracing.start_tracing("x")
make = lambda: trace.get_tracer("t").start_span("s")
"""
END = """
import os, time
from tensorhop.observe import tracing
{}
for number in range(5):
    make().end()
print(time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("whose", [OURS, OTHERS], ids=["ours", "others"])
def test_a_collector_that_is_down_does_not_hold_up_the_end(whose):
    """OpenTelemetry itself tries again for 10 s, in a process that has nothing else to do."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", END.format(whose)]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True, timeout=60)
    assert time.monotonic() - float(done.stdout) < 5

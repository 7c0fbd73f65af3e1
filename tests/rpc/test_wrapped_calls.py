"""Calls that somebody else has wrapped: OpenTelemetry's instrumentation, or a wrapper of one's own."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer
from waiting import GUARD

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.server import Server
from tensorhop.rpc.status import from_error
from tensorhop.services.segment.service import SERVICE as SEGMENT
from tensorhop.v1 import fault_pb2, segment_pb2
from tensorhop.values.results import Summary
from tensorhop.wire.codec import Packet, Stub
from tensorhop.wire.payloads import Payloads


class Iterates:
    """Has nothing but what an iterator needs."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return next(self._answers)


def generator(answers: Any) -> Any:
    yield from answers


def lazily(make: Callable[[], Any]) -> Any:
    yield from make()


class Wrapped(grpc.UnaryStreamClientInterceptor, grpc.UnaryUnaryClientInterceptor):
    """gRPC's own way to stand between: an interceptor."""

    def __init__(self, wrap: Callable[[Callable[[], Any]], Any], plain_request: bool = False) -> None:
        self._wrap, self._plain = wrap, plain_request

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details, request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        request = Packet(*request) if self._plain else request
        return self._wrap(lambda: continuation(details, request))


def patch(monkeypatch: pytest.MonkeyPatch, interceptor: Wrapped) -> None:
    """As instrumentation does: from now on, every channel is wrapped."""
    for name in ("insecure_channel", "secure_channel"):
        plain = getattr(grpc, name)
        monkeypatch.setattr(
            grpc, name, lambda *a, _plain=plain, **k: grpc.intercept_channel(_plain(*a, **k), interceptor)
        )


TOLD = {
    "generator": lambda make: generator(make()),
    "lazy generator": lazily,
    "iterator": lambda make: Iterates(make()),
    "list": lambda make: list(make()),
}


@pytest.fixture(params=["opentelemetry", *(name for name in TOLD if name != "list")])
def wrapped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param != "opentelemetry":
        patch(monkeypatch, Wrapped(TOLD[request.param]))
        yield request.param
        return
    client, server = GrpcInstrumentorClient(), GrpcInstrumentorServer()
    client.instrument()
    server.instrument()
    yield request.param
    client.uninstrument()
    server.uninstrument()


class Waiting:
    """A segment that answers some items at once, and then waits until its caller has gone."""

    def __init__(self, answers: int = 0) -> None:
        self.answers, self.entered, self.left = answers, threading.Event(), threading.Event()

    def Segment(self, packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
        context.add_callback(self.left.set)
        self.entered.set()
        for index in range(self.answers):
            yield Packet(segment_pb2.SegmentResponse(index=index), Payloads())
        self.left.wait(GUARD)


def call_of(server: Server) -> tuple[grpc.Channel, Any]:
    channel = open_channel(server.address)
    stub = Stub(channel, SEGMENT.descriptor)
    return channel, stub.Segment(Packet(segment_pb2.SegmentRequest(), Payloads()), timeout=GUARD)


def collect(call: Any, into: list[Any]) -> None:
    try:
        into.extend(call)
    except grpc.RpcError as error:
        into.append(error)


@pytest.mark.parametrize("answers", [0, 3])
def test_another_thread_cancels_a_call_that_is_waited_for(wrapped: str, answers: int) -> None:
    servicer = Waiting(answers)
    server = Server(SEGMENT, servicer, "127.0.0.1:0")
    channel, call = call_of(server)
    got: list[Any] = []
    reader = threading.Thread(target=collect, args=(call, got))
    reader.start()
    assert servicer.entered.wait(GUARD)
    call.cancel()
    assert servicer.left.wait(GUARD / 4), "the server still works for nobody"
    reader.join(GUARD)
    assert from_error(got[-1]).fault.code == fault_pb2.CODE_CANCELLED
    channel.close()
    server.stop(0).wait()


def test_a_call_that_was_cancelled_before_it_began_is_cancelled(wrapped: str) -> None:
    server = Server(SEGMENT, Waiting(), "127.0.0.1:0")
    channel, call = call_of(server)
    call.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert from_error(caught.value).fault.code == fault_pb2.CODE_CANCELLED
    channel.close()
    server.stop(0).wait()


def test_a_call_that_nobody_told_of_ends_when_it_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper that sends a request of its own making: its call is ended between two answers at least."""
    patch(monkeypatch, Wrapped(TOLD["generator"], plain_request=True))
    servicer = Waiting(2)
    server = Server(SEGMENT, servicer, "127.0.0.1:0")
    channel, call = call_of(server)
    next(call)
    call.cancel()
    assert servicer.left.wait(GUARD / 4)
    with pytest.raises(grpc.RpcError):
        next(call)
    channel.close()
    server.stop(0).wait()


def test_whatever_gives_the_answers_is_iterated_over(monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch, Wrapped(TOLD["list"]))
    servicer = SimpleNamespace(
        Segment=lambda packet, context: iter([Packet(segment_pb2.SegmentResponse(index=7), Payloads())])
    )
    server = Server(SEGMENT, servicer, "127.0.0.1:0")
    channel, call = call_of(server)
    assert [answer.message.index for answer in call] == [7]
    call.cancel()
    channel.close()
    server.stop(0).wait()


def test_an_error_without_a_status_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(make: Callable[[], Any]) -> Any:
        raise grpc.RpcError("the wrapper's own words")
        yield

    patch(monkeypatch, Wrapped(broken))
    with (
        PipelineClient("127.0.0.1:9") as client,
        pytest.raises(ServiceFault, match="the wrapper's own words") as caught,
    ):
        next(client.process(np.zeros((4, 4, 3), np.uint8)))
    assert caught.value.fault.code == fault_pb2.CODE_UNKNOWN


@pytest.mark.parametrize("wrapped", ["opentelemetry"], indirect=True)
def test_the_chain_is_whole(wrapped: str, cat: np.ndarray) -> None:
    """Every step is in the summary; and leaving ends the work."""
    with (
        one_process(dict.fromkeys(("segment", "postprocess", "pipeline"), "127.0.0.1:0")) as servers,
        PipelineClient(servers["pipeline"].address) as client,
    ):
        boxes = [(0, 0, 200, 200), (100, 0, 300, 200)]
        *_, summary = client.process(cat, boxes=boxes)
        assert isinstance(summary, Summary)
        assert [(step.step, step.calls) for step in summary.steps] == [("segment", 1), ("postprocess", 2)]
        call = client.process(cat, boxes=boxes, cache=False)
        next(call)
        call.close()
        with pytest.raises(ServiceFault) as caught:
            list(call)
        assert caught.value.fault.code == fault_pb2.CODE_CANCELLED

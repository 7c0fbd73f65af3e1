"""Connections over a real socket: what a failed call says at the other end."""

import contextlib
import socket
import threading
from types import SimpleNamespace

import grpc
import pytest
from hops import proxy

from tensorhop.errors import InvalidInput, ServiceFault, fault_of
from tensorhop.request_id import REQUEST_ID, text_of
from tensorhop.rpc.channel import CONNECTION, open_channel
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.replicas.replicas import Replicas
from tensorhop.rpc.server import Server
from tensorhop.rpc.status import from_error, to_status
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.services.segment.service import SERVICE as SEGMENT
from tensorhop.settings import Settings, use_settings
from tensorhop.v1 import describe_pb2, describe_pb2_grpc, segment_pb2, segment_pb2_grpc
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads


@contextlib.contextmanager
def serving(service, **methods):
    """A channel to a real server whose servicer has these methods."""
    server = Server(service, SimpleNamespace(**methods), "127.0.0.1:0")
    with open_channel(server.address) as channel:
        yield channel
    server.stop(0).wait()


def describe_fault(error):
    """The fault that arrives when Describe raises this."""

    def fail(packet, context):
        raise error

    with serving(DESCRIBE, Describe=fail) as channel:
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(describe_pb2.DescribeRequest(), timeout=10)
    return from_error(caught.value).fault


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("image.tensor.data", "has 5 bytes; shape [2, 3] of UINT8 takes 6"),
        InvalidInput("phrases[0]", "is 'ключ\n100 %\t'; known are 钥匙 "),
        TimeoutError("the model took too long"),
        MemoryError(),
        NotImplementedError(),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fault_arrives_as_it_was_sent(error):
    assert describe_fault(error) == fault_of(error, "describe")


def test_a_fault_of_another_service_arrives_as_it_was_sent():
    fault = pb.Fault(step=pb.STEP_DETECT, code=pb.CODE_ABORTED, field="f", message="m", retryable=True)
    assert describe_fault(ServiceFault(fault)) == fault


def test_a_stock_client_sees_code_and_sentence():
    fault = pb.Fault(code=pb.CODE_INVALID_ARGUMENT, message="boxes[0] is wrong", field="boxes[0]")
    status = to_status(fault)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT
    assert status.details == "boxes[0] is wrong"


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_what_a_caller_sent_cannot_make_the_answer_too_long_to_arrive(size):
    """The message goes into HTTP headers, of which gRPC takes 16 KiB."""
    fault = describe_fault(InvalidInput("image.tensor.dtype", f"is {'ü' * size!r}; known are UINT8"))
    assert pb.Code.Name(fault.code) == "CODE_INVALID_ARGUMENT"
    assert fault.field == "image.tensor.dtype"
    assert "üüü" in fault.message


def test_a_stream_fails_after_what_it_has_sent():
    def segment(packet, context):
        yield Packet(segment_pb2.SegmentResponse(index=0), Payloads())
        yield Packet(segment_pb2.SegmentResponse(index=1), Payloads())
        raise InvalidInput("boxes[2]", "is wrong")

    with serving(SEGMENT, Segment=segment) as channel:
        call = segment_pb2_grpc.SegmentServiceStub(channel).Segment(segment_pb2.SegmentRequest(), timeout=10)
        assert [next(call).index, next(call).index] == [0, 1]
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    fault = from_error(caught.value).fault
    assert (fault.step, fault.code, fault.field) == (pb.STEP_SEGMENT, pb.CODE_INVALID_ARGUMENT, "boxes[2]")


def test_no_server_is_unavailable_and_retryable():
    """The fault is of the step that the caller wanted."""
    with open_channel("unix:nobody-listens.sock") as channel:
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(describe_pb2.DescribeRequest(), timeout=10)
    fault = from_error(caught.value, "describe").fault
    assert (fault.step, fault.code, fault.retryable) == (pb.STEP_DESCRIBE, pb.CODE_UNAVAILABLE, True)
    assert fault.message


@pytest.mark.parametrize(
    ("code", "retryable"), [("NOT_FOUND", False), ("UNAVAILABLE", True), ("RESOURCE_EXHAUSTED", True)]
)
def test_a_status_without_a_fault_becomes_one(code, retryable):
    """As of a proxy between, or a service that is not ours."""

    def answer(packet, context):
        context.set_code(grpc.StatusCode[code])
        context.set_details("said so")
        return Packet(describe_pb2.DescribeResponse(), Payloads())

    with serving(DESCRIBE, Describe=answer) as channel:
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(describe_pb2.DescribeRequest(), timeout=10)
    error = from_error(caught.value, "detect")
    assert error.fault == pb.Fault(
        step=pb.STEP_DETECT,
        service="detect",
        code=pb.Code.Value(f"CODE_{code}"),
        message="said so",
        retryable=retryable,
    )
    assert str(error) == "said so"


def test_the_step_that_failed_is_not_overwritten_by_the_step_that_asked():
    def fail(packet, context):
        raise InvalidInput("image", "is wrong")

    with serving(DESCRIBE, Describe=fail) as channel:
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(describe_pb2.DescribeRequest(), timeout=10)
    assert from_error(caught.value, "postprocess").fault.step == pb.STEP_DESCRIBE


def test_a_deadline_is_a_fault_too():
    gone = threading.Event()

    def wait(packet, context):
        context.add_callback(gone.set)
        gone.wait(10)
        return Packet(describe_pb2.DescribeResponse(), Payloads())

    with serving(DESCRIBE, Describe=wait) as channel:
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(describe_pb2.DescribeRequest(), timeout=0.2)
    assert from_error(caught.value).fault.code == pb.CODE_DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("field", "asked", "answered", "server", "client", "who"),
    [
        ("request", 5, 0, 4, 8, "server"),
        ("request", 5, 0, 8, 4, "client"),
        ("response", 0, 5, 4, 8, "server"),
        ("response", 0, 5, 8, 4, "client"),
    ],
)
def test_a_message_over_the_limit_names_it(field, asked, answered, server, client, who):
    """gRPC's own error is the one of an overload, to be tried again, which would not help. Sizes in MiB."""
    mebibyte = 1024 * 1024

    def answer(packet, context):
        return Packet(describe_pb2.DescribeResponse(text="x" * answered * mebibyte), Payloads())

    def allow(most):
        return Settings(max_message_bytes=most * mebibyte)

    running = Server(DESCRIBE, SimpleNamespace(Describe=answer), "127.0.0.1:0", settings=allow(server))
    request = describe_pb2.DescribeRequest(image={"encoded": b"x" * asked * mebibyte})
    with open_channel(running.address, settings=allow(client)) as channel, pytest.raises(grpc.RpcError) as caught:
        describe_pb2_grpc.DescribeServiceStub(channel).Describe(request, timeout=10)
    running.stop(0).wait()
    fault = from_error(caught.value, "describe").fault
    assert (fault.code, fault.field, fault.retryable) == (pb.CODE_RESOURCE_EXHAUSTED, field, False)
    assert fault.message.startswith(f"{field} has 5,242,8")
    assert f"the {who} allows at most 4,194,304 (TENSORHOP_MAX_MESSAGE_BYTES)" in fault.message


def test_a_remote_is_ready_when_a_server_is_there():
    describe = DESCRIBE.descriptor
    server = Server(DESCRIBE, SimpleNamespace(Describe=lambda *_: None), "127.0.0.1:0")
    address = server.address
    remote = Remote(address, describe)
    assert remote.ready(10)
    server.stop(0).wait()
    assert not remote.ready(0.2)
    server = Server(DESCRIBE, SimpleNamespace(Describe=lambda *_: None), address)
    assert remote.ready(10), "it finds the next one by itself"
    remote.close()
    server.stop(0).wait()


def test_metadata_is_text_only():
    seen = {}

    def answer(packet, context):
        seen.update({key: text_of(context, key) for key in (REQUEST_ID, "x-bin", "x-other")})
        return Packet(describe_pb2.DescribeResponse(), Payloads())

    with serving(DESCRIBE, Describe=answer) as channel:
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        stub.Describe(describe_pb2.DescribeRequest(), timeout=10, metadata=[(REQUEST_ID, "r1"), ("x-bin", b"\0")])
    assert seen == {REQUEST_ID: "r1", "x-bin": "", "x-other": ""}


@pytest.fixture
def proxied(monkeypatch):
    """Sets the proxy of the environment, as container engines and users do."""
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy", "grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return lambda url, *names: [monkeypatch.setenv(name, url) for name in names or ("http_proxy", "https_proxy")]


def failure_at(address, use_proxy):
    """What a call to an address where nobody listens says."""
    settings = Settings(use_proxy=use_proxy)
    use_settings(settings)
    try:
        with open_channel(address, settings=settings) as channel, pytest.raises(grpc.RpcError) as caught:
            describe_pb2_grpc.DescribeServiceStub(channel).Describe(describe_pb2.DescribeRequest(), timeout=10)
        return from_error(caught.value, "describe").fault
    finally:
        use_settings(None)


@pytest.mark.parametrize("use_proxy", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "dns:///localhost", "ipv4:127.0.0.1"])
def test_a_proxy_is_not_asked_for_this_machine(host, use_proxy, proxied):
    proxied("http://127.0.0.1:9", "http_proxy", "https_proxy", "grpc_proxy")
    answer = Packet(describe_pb2.DescribeResponse(), Payloads())
    server = Server(DESCRIBE, SimpleNamespace(Describe=lambda *_: answer), "0.0.0.0:0")
    address = f"{host}:{server.address.rpartition(':')[2]}"
    with open_channel(address, settings=Settings(use_proxy=use_proxy)) as channel:
        describe_pb2_grpc.DescribeServiceStub(channel).Describe(describe_pb2.DescribeRequest(), timeout=10)
    server.stop(0).wait()


def test_a_proxy_is_not_asked_for_another_machine_unless_it_is_wanted(proxied, monkeypatch):
    """Whatever the name: here it is one of this machine, which only its name hides."""
    proxied("http://127.0.0.1:9")
    real = socket.getaddrinfo

    def resolve(host, *about, **more):
        return real("127.0.0.1" if host == "describe.example" else host, *about, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = Packet(describe_pb2.DescribeResponse(text="there"), Payloads())
    server = Server(DESCRIBE, SimpleNamespace(Describe=lambda *_: answer), "127.0.0.1:0")
    service = Replicas(f"describe.example:{server.address.rpartition(':')[2]}", DESCRIBE.descriptor)
    packet = Packet(describe_pb2.DescribeRequest(), Payloads())
    (found,) = service.call("Describe", packet, timeout=10)
    assert found.message.text == "there"
    service.close()
    server.stop(0).wait()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"HTTP/1.1 403 No\r\n\r\n", b"", None])
@pytest.mark.parametrize("address", ["describe:50051", "192.0.2.1:50051", "dns:///describe.example:50051"])
@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy"])
def test_a_failure_at_a_proxy_names_it(address, answer, variable, proxied):
    with contextlib.nullcontext("http://me:secret@127.0.0.1:9") if answer is None else proxy(answer) as url:
        proxied(url, variable)
        fault = failure_at(address, use_proxy=True)
    assert fault.code == pb.CODE_UNAVAILABLE
    assert f"by the proxy {url.replace('me:secret@', '')} ({variable}): set no_proxy" in fault.message
    assert "secret" not in fault.message


def test_a_failure_without_the_proxy_says_that_there_is_one(proxied):
    proxied("http://127.0.0.1:9")
    assert "http_proxy is set: TENSORHOP_USE_PROXY=true" not in failure_at("127.0.0.1:9", use_proxy=False).message
    message = failure_at("nobody.invalid:50051", use_proxy=False).message
    assert "no proxy was asked, although https_proxy is set: TENSORHOP_USE_PROXY=true" in message


@pytest.mark.parametrize("address", ["::1:50051", "::1", "dns:///::1:50051", "2001:db8::7:50051"])
@pytest.mark.parametrize("connect", [open_channel, lambda address: Replicas(address, DESCRIBE.descriptor)])
def test_an_ipv6_address_without_brackets_is_refused(address, connect):
    with pytest.raises(InvalidInput, match=r"without brackets.*; write \["):
        connect(address)


def test_no_ping_comes_more_often_than_a_stock_server_allows():
    options = dict(CONNECTION)
    assert options["grpc.keepalive_time_ms"] > 300_000
    assert "grpc.keepalive_permit_without_calls" not in options

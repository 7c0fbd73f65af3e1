"""A real server on a real socket: health, reflection, faults, limits, addresses and a clean end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from waiting import GUARD

from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.request_id import REQUEST_ID
from tensorhop.rpc.channel import info_of, open_channel
from tensorhop.rpc.server import Server
from tensorhop.rpc.service import Service
from tensorhop.rpc.status import from_error
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.services.postprocess.service import SERVICE as POSTPROCESS
from tensorhop.services.postprocess.servicer import PostprocessServicer
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import describe_pb2, describe_pb2_grpc, fault_pb2
from tensorhop.v1.image_pb2 import Image
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

NAME = "tensorhop.v1.DescribeService"
REQUEST = describe_pb2.DescribeRequest()
HEALTH = health_pb2.HealthCheckResponse


def answer(text):
    return Packet(describe_pb2.DescribeResponse(text=text), Payloads())


class Echo:
    """Answers the bytes that came as text."""

    def Describe(self, packet, context):
        request, payloads = packet
        return answer(bytes(payloads.get(request.image.encoded)).decode())


class Busy:
    """Holds every call until it is let go."""

    def __init__(self):
        self.came = threading.Semaphore(0)
        self.go = threading.Event()

    def Describe(self, packet, context):
        self.came.release()
        self.go.wait(GUARD)
        return answer("done")


@contextlib.contextmanager
def serving(servicer, address="127.0.0.1:0", settings=None):
    """A running server and a channel to it."""
    server = Server(DESCRIBE, servicer, address, settings=settings)
    try:
        with open_channel(server.address) as channel:
            yield server, channel
    finally:
        server.stop(0).wait(GUARD)


def describe(channel, text="hello", **options):
    stub = describe_pb2_grpc.DescribeServiceStub(channel)
    request = describe_pb2.DescribeRequest(image=Image(encoded=text.encode()))
    return stub.Describe(request, **{"timeout": GUARD, **options}).text


def check(channel, name="", timeout=GUARD):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=timeout)


def watch(channel, name=""):
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name), timeout=GUARD)


# Health and reflection.


@pytest.mark.parametrize("name", ["", NAME])
def test_health_of_the_server_and_of_the_service(name):
    with serving(Echo()) as (_, channel):
        assert check(channel, name).status == HEALTH.SERVING
        assert next(watch(channel, name)).status == HEALTH.SERVING


def test_health_of_a_service_that_is_not_here():
    with serving(Echo()) as (_, channel):
        with pytest.raises(grpc.RpcError) as caught:
            check(channel, "tensorhop.v1.DetectService")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_answers_while_every_worker_is_busy():
    busy = Busy()
    with serving(busy) as (_, channel):
        stub = describe_pb2_grpc.DescribeServiceStub(channel)
        calls = [stub.Describe.future(REQUEST, timeout=GUARD) for _ in range(current_settings().max_calls)]
        assert all(busy.came.acquire(timeout=GUARD) for _ in range(current_settings().max_calls))
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(REQUEST, timeout=GUARD)
        fault = from_error(caught.value).fault
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert fault.retryable
        assert fault.retry_after > 0, "an oversized message has no such hint"
        for _ in range(5):
            assert check(channel, NAME, timeout=GUARD / 2).status == HEALTH.SERVING
            assert next(watch(channel)).status == HEALTH.SERVING
            assert info_of(channel, GUARD / 2).calls.under_way == current_settings().max_calls
        assert not any(call.done() for call in calls)
        busy.go.set()
        assert [call.result().text for call in calls] == ["done"] * len(calls)


def test_reflection_tells_what_is_served():
    with serving(Echo()) as (_, channel):
        database = ProtoReflectionDescriptorDatabase(channel)
        services = {
            NAME,
            "tensorhop.v1.InfoService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "inference.GRPCInferenceService",
        }
        assert set(database.get_services()) == services
        file = database.FindFileContainingSymbol(NAME)
        assert [method.name for method in file.service[0].method] == ["Describe"]
        assert database.FindFileByName("tensorhop/v1/tensor.proto").message_type[0].name == "Tensor"


# Faults.


class Failing:
    def __init__(self, error):
        self.error = error

    def Describe(self, packet, context):
        raise self.error


def failure(error, **options):
    with serving(Failing(error)) as (_, channel), pytest.raises(grpc.RpcError) as caught:
        describe(channel, **options)
    return caught.value.code(), caught.value.details()


def test_an_internal_error_is_logged_with_its_request(caplog):
    code, _ = failure(ZeroDivisionError("a bug"), metadata=[(REQUEST_ID, "request-7")])
    assert code == grpc.StatusCode.INTERNAL
    (record,) = [record for record in caplog.records if record.name == "tensorhop.rpc.interceptors.faults"]
    assert "request-7" in record.getMessage()
    assert record.exc_info[0] is ZeroDivisionError


def test_a_callers_mistake_is_not_logged(caplog):
    assert failure(InvalidInput("image", "is missing")) == (grpc.StatusCode.INVALID_ARGUMENT, "image is missing")
    assert not caplog.records


@pytest.mark.parametrize("code", [code for code in fault_pb2.Code.values() if code])
def test_a_services_fault_keeps_every_code(code):
    status, details = failure(ServiceFault(fault_pb2.Fault(code=code, message="passed on")))
    assert status.value[0] == code
    assert details == "passed on"


def test_a_method_that_the_servicer_lacks_is_unimplemented():
    with serving(describe_pb2_grpc.DescribeServiceServicer()) as (_, channel), pytest.raises(grpc.RpcError) as caught:
        describe(channel)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_text_that_is_no_unicode_does_not_hide_the_fault():
    assert failure(InvalidInput("image", "is caf\udce9.jpg"))[0] == grpc.StatusCode.INVALID_ARGUMENT


# Sizes.


def test_messages_over_grpcs_own_limit_pass_both_ways():
    text = "x" * (5 * 1024 * 1024)
    with serving(Echo()) as (_, channel):
        assert describe(channel, text) == text


def test_a_message_over_the_limit_is_refused():
    with serving(Echo(), settings=Settings(max_message_bytes=4 * 1024 * 1024)) as (server, _):
        with grpc.insecure_channel(server.address) as stock, pytest.raises(grpc.RpcError) as caught:
            describe(stock, "x" * (5 * 1024 * 1024))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


# Addresses.


def test_a_free_port_is_found_and_told():
    with serving(Echo()) as (server, channel):
        host, _, port = server.address.rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        assert describe(channel) == "hello"


def test_a_unix_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have about 100 characters
    with serving(Echo(), "unix:s.sock") as (server, channel):
        assert server.address == "unix:s.sock"
        assert describe(channel) == "hello"


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_an_ipv6_address():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(Echo(), "[::1]:0") as (server, channel):
        assert server.address.startswith("[::1]:")
        assert describe(channel) == "hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "[::]", "localhost"])
def test_a_port_in_use_is_refused(host):
    """On localhost, gRPC is content with either of ::1 and 127.0.0.1."""
    with serving(Echo()) as (first, channel):
        address = f"{host}:{first.address.rpartition(':')[2]}"
        with pytest.raises(OSError, match=r"describe cannot listen on .*in use"):
            Server(DESCRIBE, Failing(ValueError()), address).stop(0).wait(GUARD)
        assert describe(channel) == "hello", "the first goes on"


def test_a_port_of_another_program_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="cannot listen"):
        Server(DESCRIBE, Echo(), f"127.0.0.1:{other.getsockname()[1]}")


def test_a_unix_socket_in_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(Echo(), "unix:s.sock"):
        with pytest.raises(OSError, match="cannot listen"):
            Server(DESCRIBE, Failing(ValueError()), "unix:s.sock").stop(0).wait(GUARD)
        with open_channel("unix:s.sock") as channel:
            assert describe(channel) == "hello", "the first goes on"


def test_a_socket_left_by_a_dead_server_is_no_hindrance(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("s.sock")
    with serving(Echo(), "unix:s.sock") as (_, channel):
        assert describe(channel) == "hello"


@pytest.mark.parametrize(
    "address", ["", "nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:x", "unix:no/such/folder/s"]
)
def test_an_address_that_cannot_be_is_refused(address):
    with pytest.raises((OSError, InvalidInput)):
        Server(DESCRIBE, Echo(), address).stop(0).wait(GUARD)


# The end.


def test_stop_drains_what_is_in_flight_and_takes_no_more():
    busy = Busy()
    with serving(busy) as (server, channel), open_channel(server.address) as other:
        watcher = watch(channel, NAME)
        assert next(watcher).status == HEALTH.SERVING
        call = describe_pb2_grpc.DescribeServiceStub(channel).Describe.future(REQUEST, timeout=GUARD)
        assert busy.came.acquire(timeout=GUARD)
        stopped = server.stop(grace=GUARD)
        assert next(watcher).status == HEALTH.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            describe(other)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert not stopped.is_set()
        assert not call.done()
        busy.go.set()
        assert call.result().text == "done"
        watcher.cancel()
        assert stopped.wait(GUARD / 2)


def test_a_watcher_of_health_does_not_hold_up_the_end():
    """Balancers watch for as long as they live."""
    with serving(Echo()) as (server, channel):
        watchers = [watch(channel), watch(channel, NAME), watch(channel, "unknown")]
        for watcher in watchers:
            next(watcher)
        assert server.stop(grace=GUARD).wait(GUARD / 4)


def test_a_watcher_that_leaves_never_stops_the_server():
    """Health's lock may be held while a message is sent; gRPC's one thread that ends sends must not wait for it."""
    with serving(Echo()) as (server, channel):
        watcher = watch(channel)
        next(watcher)
        with server._health._lock:
            watcher.cancel()
            assert describe(channel, timeout=GUARD / 4) == "hello"


def test_watchers_that_left_do_not_hold_up_the_end():
    with serving(Echo()) as (server, channel):
        for _ in range(20):
            watcher = watch(channel)
            next(watcher)
            watcher.cancel()
        assert server.stop(grace=GUARD).wait(GUARD / 4)


def test_grace_ends_what_does_not_finish():
    busy = Busy()
    with serving(busy) as (server, channel):
        call = describe_pb2_grpc.DescribeServiceStub(channel).Describe.future(REQUEST, timeout=GUARD)
        assert busy.came.acquire(timeout=GUARD)
        assert server.stop(grace=0.05).wait(GUARD / 2)
        assert isinstance(call.exception(), grpc.RpcError)
        busy.go.set()


CHILD = """
import sys
from types import SimpleNamespace

from tensorhop.services.describe.service import SERVICE
from tensorhop.rpc.server import Server
from tensorhop.serving.shutdown import run_until_signal
from tensorhop.v1 import describe_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads


def describe(packet, context):
    print("busy", flush=True)
    sys.stdin.readline()
    return Packet(describe_pb2.DescribeResponse(text="done"), Payloads())


server = Server(SERVICE, SimpleNamespace(Describe=describe), "127.0.0.1:0")
run_until_signal([server], ready=lambda: print(server.address, flush=True))
"""


@pytest.fixture
def child():
    """A process that runs a server."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CHILD], env=environment, **pipes) as process:
        yield process
        process.kill()


@contextlib.contextmanager
def asked_to_stop(child, number):
    """A call that the child works on, after it was asked by a signal and has said NOT_SERVING."""
    with open_channel(child.stdout.readline().strip()) as channel:
        call = describe_pb2_grpc.DescribeServiceStub(channel).Describe.future(REQUEST, timeout=GUARD)
        assert child.stdout.readline() == "busy\n"
        watcher = watch(channel)
        assert next(watcher).status == HEALTH.SERVING
        child.send_signal(number)
        assert next(watcher).status == HEALTH.NOT_SERVING
        watcher.cancel()
        yield call


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_drains_at_a_signal(child, number):
    with asked_to_stop(child, number) as call:
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert call.result().text == "done"
    assert child.wait(GUARD) == 0


def test_a_second_signal_ends_at_once(child):
    with asked_to_stop(child, signal.SIGTERM):
        child.send_signal(signal.SIGTERM)
        assert child.wait(GUARD / 2) == -signal.SIGTERM


# Which model a service loads.


class Loaded:
    name, revision, digest, largest_batch = "m", "1", "0", 1
    warm = 0

    def warm_up(self):
        self.warm += 1


class FromSource(Loaded):
    def __init__(self, source):
        self.source = source


def service_with(models):
    return Service("segment", DESCRIBE.descriptor, lambda model: [model], models=models)


def test_the_embedded_model_is_made_from_nothing_and_warm():
    (model,) = service_with({"embedded": f"{__name__}:Loaded"}).load()
    assert model.warm == 1


def test_the_embedded_model_is_not_run_where_nobody_waits_for_readiness():
    (model,) = service_with({"embedded": f"{__name__}:Loaded"}).load(warm=False)
    assert model.warm == 0


@pytest.mark.parametrize("warm", [True, False])
def test_another_model_is_made_from_its_source_and_warm(tmp_path, warm):
    file = tmp_path / "network.onnx"
    file.write_bytes(b"weights")
    choice = ModelChoice(str(file), device="cpu")
    (model,) = service_with({"onnx": f"{__name__}:FromSource"}).load(choice, warm=warm)
    assert model.warm == 1
    assert model.source == ModelSource(choice, "onnx", file)


def test_a_service_without_a_model():
    assert type(POSTPROCESS.load()) is PostprocessServicer

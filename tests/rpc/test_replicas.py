"""Replicas over real sockets: a dead one is noticed, a slow line is not cut, and servers of others are let alone."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hops import DESCRIBE as FULL_NAME
from hops import Hop, stock
from waiting import GUARD

from tensorhop.rpc.health import HEARTBEAT
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.replicas import replica, replicas
from tensorhop.rpc.replicas.replicas import Replicas
from tensorhop.rpc.server import Server
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.v1 import describe_pb2
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.payloads import Payloads

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "SILENT_SECONDS", 0.7)
    monkeypatch.setattr(replica, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(replica, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(replicas, "RESOLVE_SECONDS", 0.05)


@contextlib.contextmanager
def serving(text: str = "", answer: Callable[[Any, Any], Packet] | None = None, host: str = "127.0.0.1:0") -> Any:
    def tell(packet: Packet, context: grpc.ServicerContext) -> Packet:
        return Packet(describe_pb2.DescribeResponse(text=text), Payloads())

    server = Server(DESCRIBE, SimpleNamespace(Describe=answer or tell), host)
    try:
        yield server
    finally:
        server.stop(0).wait(GUARD)


@contextlib.contextmanager
def calling(address: str, kind: type[Replicas] | type[Remote] = Replicas) -> Iterator[Any]:
    with contextlib.closing(kind(address, DESCRIBE.descriptor)) as service:
        yield service


def call(service: Replicas | Remote, size: int = 0, timeout: float = GUARD) -> str:
    """The answer's text to a request of so many bytes."""
    payloads = Payloads()
    request = describe_pb2.DescribeRequest(image={"encoded": payloads.put(b"x" * size)})
    (answer,) = service.call("Describe", Packet(request, payloads), timeout=timeout)
    return readable(answer).message.text


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def addresses(*servers: Any) -> str:
    return "ipv4:" + ",".join(server.address for server in servers)


def test_the_heartbeat_comes_again_and_again() -> None:
    with serving() as server, grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=HEARTBEAT))
        assert [next(watch).status for _ in range(3)] == [health_pb2.HealthCheckResponse.SERVING] * 3
        other = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=0.7)
        assert next(other).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            next(other)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED, "a usual watcher hears of changes alone"


def test_calls_go_in_turn() -> None:
    with serving("a") as a, serving("b") as b, calling(addresses(a, b)) as service:
        call(service)
        until(lambda: len({call(service), call(service)}) == 2)
        found = [call(service) for _ in range(10)]
        assert found.count("a") == found.count("b") == 5
        assert service.info(GUARD).service == "describe"
        assert call(service) == found[-2], "what asks for information takes nobody's turn"


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_a_server_that_falls_silent_loses_its_calls_and_gets_no_more(size: int) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def wait(packet: Packet, context: grpc.ServicerContext) -> Packet:
        waiting.set()
        go_on.wait(GUARD)
        return Packet(describe_pb2.DescribeResponse(text="silent"), Payloads())

    with serving("other") as other, serving(answer=wait) as silent:
        hop = Hop(silent.address)
        with calling(addresses(hop, other)) as service:
            ended: list[str] = []

            def ask() -> None:
                while not waiting.is_set():
                    try:
                        call(service, size)
                    except grpc.RpcError as error:
                        ended.append(f"{error.code().name} {error.details()}")

            asking = threading.Thread(target=ask)
            asking.start()
            assert waiting.wait(GUARD)
            hop.open.clear()
            asking.join(GUARD)
            assert len(ended) == 1
            assert ended[0].startswith("CANCELLED")
            assert "Channel closed" in ended[0]
            assert [call(service) for _ in range(4)] == ["other"] * 4
            go_on.set()
            hop.open.set()
            until(lambda: call(service) == "silent")
        hop.close()


@pytest.mark.parametrize("kind", [Replicas, Remote])
def test_a_line_that_delays_what_is_sent_for_longer_than_silence_may_last_is_not_cut(
    kind: type[Replicas] | type[Remote],
) -> None:
    with serving("far") as server:
        hop = Hop(server.address, delay=0.15)  # for each 64 KiB: more than a second in all
        with calling(hop.address, kind) as service:
            assert call(service, size=500_000) == "far"
        hop.close()


def test_a_server_whose_python_stands_still_lives(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A library may hold Python's lock for seconds; gRPC takes connections all the same."""
    with serving("busy") as server, calling(server.address) as service:
        assert call(service) == "busy"
        with server._health._lock:  # no heartbeat is sent
            asked = time.monotonic()
            until(lambda: time.monotonic() - asked > 1.5)
            assert call(service) == "busy"
    assert "silent" not in caplog.text


def test_a_server_that_drains_gets_no_more_calls_and_finishes_its_own() -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def wait(packet: Packet, context: grpc.ServicerContext) -> Packet:
        waiting.set()
        go_on.wait(GUARD)
        return Packet(describe_pb2.DescribeResponse(text="drained"), Payloads())

    with serving("other") as other, serving(answer=wait) as draining, calling(addresses(draining, other)) as service:
        found: list[str] = []

        def ask() -> None:
            while not waiting.is_set():
                found.append(call(service))

        asking = threading.Thread(target=ask)
        asking.start()
        assert waiting.wait(GUARD)
        ended = draining.stop(GUARD)

        def only_the_other() -> bool:
            try:
                return {call(service, timeout=2) for _ in range(2)} == {"other"}
            except grpc.RpcError as error:  # sent before it was known: not taken any more, and the chain tries it again
                if error.code() not in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE):
                    raise
                return False

        until(only_the_other)
        go_on.set()
        asking.join(GUARD)
        assert found[-1] == "drained"
        assert ended.wait(GUARD)


@pytest.mark.parametrize("names", [None, ("",), (FULL_NAME,), ("", FULL_NAME), ("another",), ()])
def test_a_stock_server_is_used_whatever_health_it_has(names: tuple[str, ...] | None, caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
    with stock(names=names) as (address, servicer), calling(address) as service:
        assert [call(service) for _ in range(5)] == ["stock"] * 5
        assert service.ready(GUARD)
        assert servicer.calls == 5
        if names == ("",):
            until(lambda: f"health of '' only, not of '{FULL_NAME}'" in caplog.text)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stock_server_whose_workers_are_all_busy_is_waited_for(workers: int) -> None:
    with stock(seconds=0.8, names=("",), workers=workers) as (address, servicer), calling(address) as service:
        callers = [threading.Thread(target=call, args=(service,)) for _ in range(workers)]
        for one in callers:
            one.start()
        for one in callers:
            one.join(GUARD)
        assert servicer.calls == workers


def test_a_slow_stock_server_is_called_once() -> None:
    """With pings it would end the connection after five seconds: too_many_pings."""
    with (
        stock(seconds=5.6, workers=2) as (address, servicer),
        calling(address, Replicas) as inside,
        calling(address, Remote) as outside,
    ):
        answers: list[str] = []
        callers = [threading.Thread(target=lambda one=one: answers.append(call(one))) for one in (inside, outside)]  # type: ignore[misc]
        for one in callers:
            one.start()
        for one in callers:
            one.join(GUARD)
        assert answers == ["stock"] * 2
        assert servicer.calls == 2


def test_servers_of_a_name_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("a") as a, serving("b", host=f"127.0.0.2:{a.address.rpartition(':')[2]}"):
        port = int(a.address.rpartition(":")[2])
        hosts, real = ["127.0.0.1"], socket.getaddrinfo

        def resolve(host: str, *about: Any, **more: Any) -> Any:
            if host != "describe.example":
                return real(host, *about, **more)
            if not hosts:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in hosts]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with calling(f"dns:///describe.example:{port}") as service:
            assert call(service) == "a"
            hosts.append("127.0.0.2")
            until(lambda: call(service) == "b")
            assert len({call(service), call(service)}) == 2
            del hosts[0]
            until(lambda: {call(service) for _ in range(4)} == {"b"})
            hosts.clear()
            time.sleep(0.2)
            assert call(service) == "b", "a name that fails to resolve changes nothing"


def test_without_a_server_the_reason_is_told_and_one_that_comes_is_found() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with calling(address) as service:
        with pytest.raises(grpc.RpcError) as caught:
            call(service)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "Connection refused" in str(caught.value)
        assert not service.ready(0.1)
        with serving("late", host=address):
            assert service.ready(GUARD)
            assert call(service) == "late"
        until(lambda: not service.ready(0))


def test_closed_connections_say_so() -> None:
    with serving("a") as server:
        for used in (False, True):
            service = Replicas(server.address, DESCRIBE.descriptor)
            if used:
                call(service)
            service.close()
            with pytest.raises(ValueError, match="closed"):
                call(service)

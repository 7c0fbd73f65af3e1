"""PipelineClient: what is tried again, what a proxy's refusal becomes, and what can be pickled."""

import contextlib
import copy
import math
import pickle
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_pipeline import LASTING, PHOTO, Scripted, fault, serving
from waiting import GUARD

import tensorhop
from tensorhop import InvalidInput, PipelineClient, Security, ServiceFault
from tensorhop.client.call import LONGEST_TIMEOUT, check_timeout
from tensorhop.errors import Overloaded
from tensorhop.rpc import retries
from tensorhop.settings import Settings
from tensorhop.v1 import fault_pb2
from tensorhop.values.results import Detections, Summary


def kinds(client: PipelineClient, **more: Any) -> list[type]:
    return [type(event) for event in client.process(PHOTO, **more)]


def test_what_fails_for_a_moment_is_made_again() -> None:
    pipeline = Scripted(fault("UNAVAILABLE"), Overloaded("full", 0.1), fault("UNAVAILABLE"))
    with serving(pipeline) as address, PipelineClient(address) as client:
        started = time.monotonic()
        assert kinds(client) == [Detections, Summary]
        assert time.monotonic() - started >= 0.1
    assert pipeline.calls == 4


@LASTING
def test_what_would_fail_again_is_not_made_again(failure: Exception, more: dict[str, Any]) -> None:
    pipeline = Scripted(failure, **more)
    with serving(pipeline) as address, PipelineClient(address) as client:
        call = client.process(PHOTO)
        with pytest.raises(ServiceFault) as caught:
            list(call)
        with pytest.raises(ServiceFault):
            next(call)  # it stays failed
        assert caught.value.fault.message
    assert pipeline.calls == 1


def test_retries_can_be_turned_off() -> None:
    pipeline = Scripted(fault("UNAVAILABLE"))
    with serving(pipeline) as address, PipelineClient(address, retry=False) as client, pytest.raises(ServiceFault):
        kinds(client)
    assert pipeline.calls == 1


def test_a_pipeline_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with PipelineClient(address) as client:
        got: list[Any] = []
        waiting = threading.Thread(target=lambda: got.extend(kinds(client)))
        waiting.start()
        time.sleep(0.3)
        with serving(Scripted(), address):
            waiting.join(GUARD)
    assert got == [Detections, Summary]


def test_one_that_is_not_there_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "LONGEST_OUTAGE", 0.1)
    with (
        PipelineClient("127.0.0.1:9") as client,
        pytest.raises(ServiceFault, match=r"nothing answers at 127\.0\.0\.1:9; start it with tensorhop up") as caught,
    ):
        kinds(client)
    assert caught.value.fault.code == fault_pb2.CODE_UNAVAILABLE


@pytest.mark.parametrize("close", ["call", "client"])
def test_closing_ends_the_wait_for_the_next_attempt(close: str) -> None:
    pipeline = Scripted(*(Overloaded("full", 9) for _ in range(9)))
    with serving(pipeline) as address, PipelineClient(address) as client:
        call = client.process(PHOTO)
        threading.Timer(0.3, (call if close == "call" else client).close).start()
        started = time.monotonic()
        with pytest.raises(ServiceFault):
            list(call)
        assert time.monotonic() - started < 8


def test_the_deadline_is_of_all_attempts_together() -> None:
    pipeline = Scripted(*(Overloaded("full", 0.2) for _ in range(99)))
    with serving(pipeline) as address, PipelineClient(address) as client, pytest.raises(ServiceFault):
        kinds(client, timeout=0.5)
    assert pipeline.calls <= 4


@pytest.mark.parametrize("timeout", [1e9, 9e9, 1e10, 1e300, 10**30, math.inf, None])
def test_a_timeout_as_long_as_you_like_is_none_that_fails(timeout: float | None) -> None:
    with serving(Scripted()) as address, PipelineClient(address) as client:
        assert kinds(client, timeout=timeout) == [Detections, Summary]
    assert check_timeout(timeout) in (None, LONGEST_TIMEOUT)


@pytest.mark.parametrize("timeout", [math.nan, -1, -math.inf, "5", True])
def test_what_is_no_timeout_is_refused(timeout: Any) -> None:
    with PipelineClient("127.0.0.1:9") as client, pytest.raises(InvalidInput, match=r"timeout is .*number of seconds"):
        client.process(PHOTO, timeout=timeout)


# A proxy in front.


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


class Proxy:
    """Speaks just enough HTTP/2 to answer every request with a status."""

    def __init__(self, status: int) -> None:
        self.status, self.requests = str(status), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as incoming:
            connection.sendall(frame(4, 0, 0))
            incoming.read(24)
            while head := incoming.read(9):
                body = incoming.read(int.from_bytes(head[:3], "big"))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                if kind in (4, 6) and not flags:  # settings and pings
                    connection.sendall(frame(kind, 1, 0, body if kind == 6 else b""))
                elif kind == 1:
                    self.requests += 1
                    connection.sendall(frame(1, 5, stream, b"\x08\x03" + self.status.encode()))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (413, "RESOURCE_EXHAUSTED", "size"),
        (504, "DEADLINE_EXCEEDED", "gave up waiting"),
        (404, "UNIMPLEMENTED", "no gRPC server is behind it"),
        (403, "PERMISSION_DENIED", "does not let"),
        (418, "UNKNOWN", "a proxy answered in place of the server"),
    ],
)
def test_what_a_proxy_refuses_is_explained(status: int, code: str, words: str) -> None:
    proxy = Proxy(status)
    with proxy.listener, PipelineClient(proxy.address) as client, pytest.raises(ServiceFault) as caught:
        kinds(client)
    told = caught.value.fault
    assert told.code == fault_pb2.Code.Value(f"CODE_{code}")
    assert words in told.message
    assert f"HTTP {status}" in told.message
    assert not told.retryable
    assert proxy.requests == 1


def test_a_proxy_that_cannot_reach_its_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(retries, "LONGEST_OUTAGE", 0.2)
    proxy = Proxy(502)
    with (
        proxy.listener,
        PipelineClient(proxy.address) as client,
        pytest.raises(ServiceFault, match="HTTP 502") as caught,
    ):
        kinds(client)
    assert caught.value.fault.retryable
    assert proxy.requests > 1


# Pickle.


def test_a_client_connects_anew_where_it_arrives() -> None:
    with serving(Scripted()) as address:
        client = PipelineClient(address, security=Security(open_health=False), settings=Settings(max_boxes=7))
        data = pickle.dumps(client)
        client.close()
        with pickle.loads(data) as arrived, copy.deepcopy(arrived) as again:
            assert kinds(arrived) == kinds(again) == [Detections, Summary]


def test_a_call_says_why_it_cannot() -> None:
    with serving(Scripted()) as address, PipelineClient(address) as client:
        call = client.process(PHOTO)
        with pytest.raises(TypeError, match="under way, and cannot be pickled; its events can"):
            pickle.dumps(call)
        events = list(call)
        assert pickle.loads(pickle.dumps(events)) == events


@pytest.mark.parametrize(
    "error",
    [InvalidInput("boxes[2].x1", "is NaN"), Overloaded("full", 2.5), fault("NOT_FOUND", field="x", retry_after=3)],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_as_they_were(error: Exception) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


@pytest.mark.parametrize("name", ["Box", "Region", "Size", "Security", "DescribeOptions", "Finish", "Output"])
def test_public_values_can_be_pickled(name: str) -> None:
    kind = getattr(tensorhop, name)
    value = {
        "Box": lambda: kind(0, 0, 1, 1),
        "Region": lambda: kind(0, 0, 1, 1),
        "Size": lambda: kind(1, 2),
        "Output": lambda: kind("tensor"),
    }.get(name, kind)()
    assert pickle.loads(pickle.dumps(value)) == value

"""The fuzzer itself: it sends what it says, it finds what is broken, and a few of its cases on each run."""

import contextlib
from email.message import Message

import fuzz_http
import pytest
from fuzz import Target, attack, good, instant
from hostile import METHODS, Hostile

from tensorhop.rpc.server import Server
from tensorhop.web.serve import HttpServer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of what it finds in broken files


@pytest.fixture(scope="module")
def hostile():
    return Hostile(1)


@pytest.fixture(scope="module")
def servers():
    with instant() as running:
        yield running


@contextlib.contextmanager
def target(servers):
    aimed = Target({name: server.address for name, server in servers.items()}, 30)
    yield aimed
    aimed.close()


def test_a_case_is_the_same_each_time(hostile):
    assert [hostile.case(number) for number in range(50)] == [Hostile(1).case(number) for number in range(50)]
    assert hostile.case(0) != Hostile(2).case(0)


def test_every_good_request_is_answered(hostile, servers):
    assert set(hostile.valid) == set(METHODS)
    with target(servers) as aimed:
        for path, requests in hostile.valid.items():
            for request in requests:
                status, details, answers = aimed.send(path, request.SerializeToString())
                assert (status, details) == ("OK", ""), path
                assert answers


def test_some_hostile_requests(hostile, servers):
    with target(servers) as aimed:
        before = good(aimed, hostile)
        tally, found = attack(aimed, hostile, range(1_000_000, 1_000_300))
        assert not found
        assert sum(tally.values()) == 300
        assert {status for _, status in tally} >= {"OK", "INVALID_ARGUMENT"}
        assert good(aimed, hostile) == before


def test_some_hostile_requests_over_http(servers):
    addresses = {name: server.address for name, server in servers.items()}
    front = HttpServer("127.0.0.1:0", addresses["pipeline"], services=addresses)
    try:
        aimed = fuzz_http.Target(front.address, 30)
        tally, found = fuzz_http.attack(aimed, fuzz_http.HostileHttp(1), range(1_000_000, 1_000_200))
        assert not found
        assert sum(tally.values()) == 200
        assert {status for _, status in tally} >= {200, 400}
        assert {kind.partition("+")[0] for kind, _ in tally} >= {"form", "json", "application/connect"}
    finally:
        front.stop(1).wait()


@pytest.mark.parametrize(
    ("change", "status", "kind", "body"),
    [
        ("json", 500, "text/plain", b""),
        ("json", 200, "application/x-ndjson", b"{"),
        ("json", 429, "application/json", b'{"code": "unavailable"}'),
        ("json", 200, "application/json", b'{"fault": {"code": "CODE_INTERNAL"}}'),
        ("application/grpc-web", 200, "application/grpc-web+proto", b"grpc-status: 13"),
        ("form", 400, "application/json", b"{}"),
    ],
)
def test_what_is_wrong_over_http_is_found(change, status, kind, body):
    case = fuzz_http.Case(change, "/x", {}, b"")
    headers = Message()
    headers["Content-Type"] = kind
    assert fuzz_http.wrong_with(case, status, headers, body)


class Broken:
    def Postprocess(self, packet, context):
        raise IndexError("a bug")


def test_a_bug_is_found(hostile, servers, caplog):
    broken = Server(servers["postprocess"].service, Broken(), "127.0.0.1:0")
    with target(servers | {"postprocess": broken}) as aimed:
        _, found = attack(aimed, hostile, range(60))
        assert found
        assert all("ostprocess" in line and "INTERNAL" in line for line in found)
    broken.stop(0).wait()

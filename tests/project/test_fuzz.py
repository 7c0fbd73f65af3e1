"""The fuzzer itself: it sends what it says, it finds what is broken, and a few of its cases on each run."""

import contextlib

import pytest
from fuzz import Target, attack, good, instant
from hostile import METHODS, Hostile

from tensorhop.rpc.server import Server

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

"""What is tried again, how often, and when not."""

import time

import pytest

from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.rpc import retries
from tensorhop.rpc.retries import MOST_TRIES, TOKENS, Retry
from tensorhop.settings import current_settings
from tensorhop.v1 import fault_pb2


def fault(code=fault_pb2.CODE_UNAVAILABLE, **more):
    return ServiceFault(fault_pb2.Fault(code=code, message="m", **more))


class Failing:
    """Fails some times, then answers."""

    def __init__(self, times, error=None):
        self.left, self.error, self.calls = times, error or fault(), 0

    def __call__(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "answer"


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.0001)


@pytest.fixture
def scope():
    return RequestScope("r", None)


@pytest.mark.parametrize("times", [0, 1, MOST_TRIES - 1])
def test_a_call_that_fails_for_a_moment_is_made_again(scope, times):
    failing = Failing(times)
    assert Retry().call(failing, scope) == "answer"
    assert failing.calls == times + 1


def test_a_call_that_goes_on_failing_fails_with_its_own_fault(scope):
    failing = Failing(100)
    with pytest.raises(ServiceFault) as caught:
        Retry().call(failing, scope)
    assert caught.value is failing.error
    assert failing.calls == MOST_TRIES


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "RESOURCE_EXHAUSTED"]
)
def test_what_would_fail_again_is_not_tried_again(scope, code):
    failing = Failing(1, fault(getattr(fault_pb2, f"CODE_{code}")))
    with pytest.raises(ServiceFault):
        Retry().call(failing, scope)
    assert failing.calls == 1


def test_who_is_pushed_back_waits_as_long_as_was_asked_for(scope):
    failing = Failing(1, fault(fault_pb2.CODE_RESOURCE_EXHAUSTED, retry_after=0.1))
    started = time.monotonic()
    assert Retry().call(failing, scope) == "answer"
    assert time.monotonic() - started >= 0.1


def test_who_is_pushed_back_for_long_gives_up(scope):
    failing = Failing(1, fault(fault_pb2.CODE_RESOURCE_EXHAUSTED, retry_after=3600))
    with pytest.raises(ServiceFault):
        Retry().call(failing, scope)
    assert failing.calls == 1


def test_who_is_pushed_back_comes_again_until_there_is_room(scope, monkeypatch):
    """The service is full, not broken: asking again costs no budget and is not counted."""
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 0.001)
    failing, shared = Failing(5 * MOST_TRIES, fault(fault_pb2.CODE_RESOURCE_EXHAUSTED, retry_after=0.001)), Retry()
    assert shared.call(failing, scope) == "answer"
    assert shared._tokens == TOKENS


def test_who_is_pushed_back_gives_up_in_the_end(scope, monkeypatch):
    monkeypatch.setattr(retries, "LONGEST_REFUSAL", 0.5)
    failing = Failing(10**9, fault(fault_pb2.CODE_RESOURCE_EXHAUSTED, retry_after=0.001))
    with pytest.raises(ServiceFault) as caught:
        Retry().call(failing, scope)
    assert caught.value is failing.error
    assert failing.calls > 2


def test_an_outage_is_not_met_with_a_storm(scope):
    shared, calls = Retry(), 0
    for _ in range(100):
        failing = Failing(100)
        with pytest.raises(ServiceFault):
            shared.call(failing, scope)
        calls += failing.calls
    assert calls <= 100 + TOKENS / 2 < 100 * MOST_TRIES


def test_successes_fill_the_budget_again(scope):
    shared = Retry()
    for _ in range(60):
        with pytest.raises(ServiceFault):
            shared.call(Failing(100), scope)
    assert shared._tokens == TOKENS / 2
    for _ in range(100):
        shared.call(Failing(0), scope)
    assert shared.call(Failing(2), scope) == "answer"


def test_all_calls_on_a_replica_that_dies_are_tried_again(scope):
    shared = Retry()
    in_flight = [Failing(1) for _ in range(4 * current_settings().max_calls)]
    assert [shared.call(one, scope) for one in in_flight] == ["answer"] * len(in_flight)


def test_without_a_connection_nothing_is_sent(scope):
    looks = iter([False, False, True])
    failing = Failing(1)
    assert Retry(lambda seconds: next(looks)).call(failing, scope) == "answer"
    assert failing.calls == 2


def test_a_long_outage_ends_in_its_own_fault_and_costs_no_budget(scope, monkeypatch):
    monkeypatch.setattr(retries, "LONGEST_OUTAGE", 0.01)
    failing, shared = Failing(100), Retry(lambda seconds: False)
    with pytest.raises(ServiceFault) as caught:
        shared.call(failing, scope)
    assert caught.value is failing.error
    assert failing.calls == 1
    assert shared._tokens == TOKENS


def test_a_cancelled_request_does_not_wait_for_a_connection(scope):
    def ready(seconds):
        scope.cancel()
        return False

    failing = Failing(100)
    with pytest.raises(ServiceFault):
        Retry(ready).call(failing, scope)
    assert failing.calls == 1


def test_a_cancelled_request_is_not_tried_again(scope):
    def attempt():
        scope.cancel()
        raise fault()

    with pytest.raises(ServiceFault):
        Retry().call(attempt, scope)


def test_nothing_is_tried_after_the_deadline():
    failing = Failing(100)
    with pytest.raises(ServiceFault):
        Retry().call(failing, RequestScope("r", None, seconds=0.0))
    assert failing.calls == 1


def test_a_stream_is_taken_up_where_it_broke(scope):
    missing = list(range(10))

    def attempt():
        for number in tuple(missing):
            missing.remove(number)
            yield number
            if number % 3 == 2:
                raise fault()

    assert list(Retry().stream(attempt, scope)) == list(range(10))

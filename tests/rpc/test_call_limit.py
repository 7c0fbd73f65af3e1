"""What a server counts of its calls."""

import pytest

from tensorhop.errors import Overloaded
from tensorhop.rpc.interceptors.call_limit import CallLimit


def test_calls_are_counted_and_timed() -> None:
    tally = CallLimit(most=2)
    with tally.call():
        assert (tally.calls().under_way, tally.calls().ended) == (1, 0)
    with pytest.raises(KeyError), tally.call():
        raise KeyError
    calls = tally.calls()
    assert (calls.under_way, calls.most, calls.ended, calls.failed) == (0, 2, 2, 1)
    assert 0 < calls.last_seconds < calls.seconds


def test_a_call_too_many_is_refused_and_not_counted() -> None:
    tally = CallLimit(most=1)
    with tally.call():
        with pytest.raises(Overloaded, match="1 calls are under way"), tally.call():
            pass
        assert tally.calls().ended == 0
    with tally.call():
        pass
    assert (tally.calls().ended, tally.calls().failed) == (2, 0)


def test_a_caller_that_leaves_a_stream_is_no_failure() -> None:
    tally = CallLimit(most=1)

    def stream():
        with tally.call():
            yield 1
            yield 2

    answers = stream()
    next(answers)
    answers.close()
    assert (tally.calls().under_way, tally.calls().ended, tally.calls().failed) == (0, 1, 0)

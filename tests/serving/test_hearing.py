"""Signals that are waited for."""

import signal

from waiting import GUARD

from tensorhop.serving.shutdown import hearing


def test_a_signal_raises_nothing_where_it_comes_and_is_heard_where_it_is_waited_for() -> None:
    with hearing(signal.SIGUSR1, signal.SIGUSR2) as wait:
        assert not wait(0.01)
        signal.raise_signal(signal.SIGUSR2)
        assert wait(GUARD)
        assert not wait(0.01), "it is heard once"
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_another_signal_is_not_heard() -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    try:
        with hearing(signal.SIGUSR2) as wait:
            signal.raise_signal(signal.SIGUSR1)
            assert not wait(0.05)
    finally:
        signal.signal(signal.SIGUSR1, before)

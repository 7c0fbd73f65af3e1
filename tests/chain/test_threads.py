"""The threads that requests share."""

import threading

import pytest
from waiting import GUARD

from tensorhop.orchestrator.chain.threads import TaskGroup


def test_at_most_so_many_run_at_once_in_their_order_and_the_end_waits_for_all() -> None:
    lock, begun, running, most = threading.Lock(), [], [0], [0]
    gate = threading.Event()

    def task(number: int) -> None:
        with lock:
            begun.append(number)
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(GUARD)
        with lock:
            running[0] -= 1

    with TaskGroup(3, "work") as group:
        for number in range(10):
            group.submit(lambda number=number: task(number))
        gate.set()
    assert sorted(begun) == list(range(10))
    assert begun[3:] == sorted(begun[3:])
    assert running == [0]
    assert 1 <= most[0] <= 3


def test_a_group_that_waits_holds_up_no_other() -> None:
    gate, done = threading.Event(), threading.Event()
    with TaskGroup(4, "work") as waiting:
        for _ in range(40):
            waiting.submit(lambda: gate.wait(GUARD))
        with TaskGroup(1, "work") as other:
            other.submit(done.set)
        assert done.is_set()
        gate.set()


def test_a_task_that_fails_is_logged_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    with TaskGroup(1, "work") as group:
        group.submit(lambda: 1 / 0)
        group.submit(done.set)
    assert done.is_set()
    assert "ZeroDivisionError" in caplog.text


def test_threads_are_used_again() -> None:
    seen: set[tuple[int, str]] = set()
    for _ in range(50):
        with TaskGroup(1, "work") as group:
            group.submit(lambda: seen.add((threading.get_ident(), threading.current_thread().name)))
    assert len(seen) < 25  # on a busy machine a thread may not be back yet when the next task comes
    assert {name for _, name in seen} == {"work"}

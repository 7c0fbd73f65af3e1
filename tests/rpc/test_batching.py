"""What waits goes together, requests take turns, and one item's failure is its own."""

import subprocess
import sys
import threading
import time
from itertools import count

import pytest
from waiting import GUARD

from tensorhop.errors import Overloaded
from tensorhop.rpc.batching import Batcher
from tensorhop.settings import Settings


class Model:
    """Doubles numbers, in batches that it writes down; it works only while the gate is open."""

    def __init__(self, bad=()):
        self.batches = []
        self.keys = []
        self.bad = set(bad)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def __call__(self, items, key):
        self.batches.append(list(items))
        self.keys.append(key)
        self.entered.release()
        assert self.gate.wait(GUARD)
        if self.bad & set(items):
            raise ValueError(f"bad: {self.bad & set(items)}")
        return [2 * item for item in items]

    def close(self):
        self.gate.clear()

    def busy(self, batcher):
        """Have it work on something, so that what is submitted next waits."""
        self.close()
        ticket = batcher.submit([0])
        assert self.entered.acquire(timeout=GUARD)
        return ticket


def results(ticket):
    """Index -> result of a ticket; a test that would wait for ever fails."""
    found = {}
    thread = threading.Thread(target=lambda: found.update(dict(iter(ticket))), daemon=True)
    thread.start()
    thread.join(GUARD)
    assert not thread.is_alive(), "it waits for ever"
    return found


@pytest.fixture
def model():
    return Model()


def test_a_list_is_queued_a_batch_at_a_time():
    batcher = Batcher("doubling", model := Model(), largest=2, settings=Settings(max_queue=2))
    outcomes = batcher.each([1, 2, 3, 4, 5])
    assert [next(outcomes), next(outcomes)] == [(0, 2), (1, 4)]
    assert model.batches == [[1, 2]]  # what comes next waits for the caller
    assert list(outcomes) == [(2, 6), (3, 8), (4, 10)]
    assert list(batcher.each([])) == []


def test_a_list_that_finds_the_queue_full_fails_at_its_start_and_by_item_later():
    batcher = Batcher("doubling", model := Model(), largest=1, settings=Settings(max_queue=1))
    outcomes = batcher.each([1, 2, 3])
    assert next(outcomes) == (0, 2)
    assert model.entered.acquire(timeout=GUARD)
    model.busy(batcher)
    batcher.submit([9])
    with pytest.raises(Overloaded):
        next(batcher.each([1]))
    index, refused = next(outcomes)
    assert index == 1
    assert isinstance(refused, Overloaded)
    model.gate.set()


def test_a_list_whose_caller_leaves_ends():
    leave = []
    batcher = Batcher("doubling", model := Model(), largest=1)
    outcomes = batcher.each([1, 2, 3], on_leave=lambda cancel: leave.append(cancel) or True)
    assert next(outcomes) == (0, 2)
    model.close()
    threading.Timer(0.1, lambda: leave[-1]()).start()
    assert list(outcomes) == []
    model.gate.set()
    assert [3] not in model.batches


def test_results_come_with_their_index(model):
    assert results(Batcher("t", model, 4).submit([5, 6, 7])) == {0: 10, 1: 12, 2: 14}


def test_no_items_have_no_results(model):
    assert results(Batcher("t", model, 4).submit([])) == {}


def test_what_waits_goes_together_up_to_the_largest(model):
    batcher = Batcher("t", model, 4)
    first = model.busy(batcher)
    tickets = [batcher.submit([number]) for number in range(1, 7)]
    model.gate.set()
    assert [results(ticket) for ticket in [first, *tickets]] == [{0: 2 * number} for number in range(7)]
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_an_idle_model_starts_at_once_on_one_item(model):
    batcher = Batcher("t", model, 8)
    for number in range(3):
        assert results(batcher.submit([number])) == {0: 2 * number}
    assert model.batches == [[0], [1], [2]]


def test_requests_take_turns(model):
    batcher = Batcher("t", model, 2)
    first = model.busy(batcher)
    many, one = batcher.submit(range(10, 16)), batcher.submit([20])
    model.gate.set()
    for ticket in (first, many, one):
        results(ticket)
    assert model.batches == [[0], [10, 20], [11, 12], [13, 14], [15]]


def test_keys_do_not_mix(model):
    batcher = Batcher("t", model, 4)
    first = model.busy(batcher)
    tickets = [batcher.submit([number], number % 2) for number in range(1, 6)]
    model.gate.set()
    for ticket in [first, *tickets]:
        results(ticket)
    assert model.batches == [[0], [1, 3, 5], [2, 4]]
    assert model.keys == [None, 1, 0]


def test_a_bad_item_fails_alone():
    model = Model(bad=[3])
    batcher = Batcher("t", model, 4)
    first = model.busy(batcher)
    tickets = {number: batcher.submit([number]) for number in range(1, 5)}
    model.gate.set()
    results(first)
    for number, ticket in tickets.items():
        outcome = results(ticket)[0]
        assert isinstance(outcome, ValueError) if number == 3 else outcome == 2 * number


def test_a_model_that_answers_too_few_results_fails_the_request_and_works_on():
    batcher = Batcher("test", lambda items, key: [] if 3 in items else list(items), largest=4)
    assert isinstance(results(batcher.submit([3]))[0], ValueError)
    assert results(batcher.submit([5])) == {0: 5}


def test_what_nobody_waits_for_is_not_computed(model):
    batcher = Batcher("t", model, 1)
    first = model.busy(batcher)
    gone, stays = batcher.submit([1, 2, 3]), batcher.submit([4])
    gone.cancel()
    model.gate.set()
    assert results(first) == {0: 0}
    assert results(stays) == {0: 8}
    assert results(gone) == {}
    assert model.batches == [[0], [4]]


def test_a_request_that_is_cancelled_halfway_stops(model):
    ticket = Batcher("t", model, 1).submit([1, 2, 3])
    outcomes = iter(ticket)
    assert next(outcomes) == (0, 2)
    ticket.cancel()
    assert len(list(outcomes)) <= 2
    batcher = Batcher("t", lambda items, key: (ticket.cancel(), items)[1], 1)  # the caller goes during the first
    ticket = batcher.submit([1, 2, 3])
    results(ticket)
    assert results(batcher.submit([4])) == {0: 4}
    assert len(ticket.waiting) == 2, "taken, though nobody waits for it"


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(model):
    batcher = Batcher("t", model, 2, settings=Settings(max_queue=3))
    first = model.busy(batcher)
    waiting = batcher.submit([1, 2, 3])
    with pytest.raises(Overloaded, match="t has 3 waiting, of at most 3") as caught:
        batcher.submit([4])
    assert caught.value.retry_after > 0
    model.gate.set()
    assert len(results(waiting)) == 3
    results(first)
    assert results(batcher.submit([4])) == {0: 8}


def test_cancelled_items_make_room(model):
    batcher = Batcher("t", model, 1, settings=Settings(max_queue=2))
    first = model.busy(batcher)
    batcher.submit([1, 2]).cancel()
    model.gate.set()
    results(first)
    assert results(batcher.submit([3, 4])) == {0: 6, 1: 8}


def test_a_batch_may_wait_for_more():
    model = Model()
    batcher = Batcher("t", model, 3, settings=Settings(max_wait_ms=GUARD * 1000))
    tickets = [batcher.submit([number]) for number in range(3)]
    assert [results(ticket) for ticket in tickets] == [{0: 0}, {0: 2}, {0: 4}]
    assert model.batches == [[0, 1, 2]]


def test_a_batch_does_not_wait_longer_than_it_may():
    model = Model()
    batcher = Batcher("t", model, 3, settings=Settings(max_wait_ms=50))
    assert results(batcher.submit([1])) == {0: 2}


def test_many_callers_at_once_each_get_their_own():
    model = Model()
    settings = Settings(max_queue=10_000)
    batcher = Batcher("t", lambda items, key: (time.sleep(0.001), model(items, key))[1], 8, settings=settings)
    numbers, wrong = count(), []

    def caller():
        for _ in range(20):
            number = next(numbers)
            if results(batcher.submit([number, number + 10_000])) != {0: 2 * number, 1: 2 * number + 20_000}:
                wrong.append(number)

    threads = [threading.Thread(target=caller) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
    assert not wrong
    assert sum(map(len, model.batches)) == 16 * 20 * 2
    assert max(map(len, model.batches)) > 1


LEAVES_EARLY = """
import threading, time
from tensorhop.rpc.batching import Batcher

began = threading.Event()

def model(items, key):
    began.set()
    time.sleep(0.5)
    print("worked on", *items, flush=True)
    return items

batcher = Batcher("test", model, largest=1)
pending = batcher.submit(["the first", "the second"])
began.wait()
pending.cancel()
"""


def test_a_process_ends_after_what_its_model_works_on_and_not_within():
    ended = subprocess.run([sys.executable, "-c", LEAVES_EARLY], capture_output=True, text=True, timeout=GUARD)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "worked on the first\n", "")

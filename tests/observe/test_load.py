"""How many replicas are wanted: by a clock of the test's own, in the metrics, and what autoscalers make of it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from autoscaling import Autoscaler, Row, Scaler, simulations
from waiting import GUARD, wait_for

from tensorhop.observe.load import AVERAGE_SECONDS, TARGET_USE, Load
from tensorhop.rpc.batching import Batcher
from tensorhop.settings import Settings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def used(load: Load, clock: Clock, part: float, seconds: float, items: int = 1) -> None:
    load.begin(part)
    clock.now += seconds
    load.end(part, items, seconds)


def test_work_alone_asks_for_the_replicas_that_it_keeps_busy() -> None:
    load = Load(5, clock := Clock())
    assert load.desired_replicas(0) == 0
    for _ in range(600):  # half of the time
        used(load, clock, 1, 1.0)
        clock.now += 1
    assert load.desired_replicas(0) == pytest.approx(0.5 / TARGET_USE, rel=0.02)
    used(load, clock, 1, 20 * AVERAGE_SECONDS)
    assert load.desired_replicas(0) == pytest.approx(1 / TARGET_USE)
    clock.now += 20 * AVERAGE_SECONDS
    assert load.desired_replicas(0) == pytest.approx(0, abs=1e-6)


def test_a_batch_under_way_counts_before_it_ends() -> None:
    load = Load(5, clock := Clock())
    load.begin(1)
    clock.now += 20 * AVERAGE_SECONDS
    assert load.desired_replicas(0) == pytest.approx(1 / TARGET_USE)


def test_what_waits_asks_for_as_many_as_work_it_off_in_time() -> None:
    load = Load(5, clock := Clock())
    used(load, clock, 0.0, 4.0, items=8)  # half a second an item
    assert load.desired_replicas(100) == pytest.approx(100 * 0.5 / 5)


def test_replicas_add_up() -> None:
    """Four replicas with a quarter of the load each want what one with all of it would."""
    alone, parts, clock = Load(5, clock := Clock()), [Load(5, clock) for _ in range(4)], clock
    for load in (alone, *parts):
        load.end(0, 1, 1.0)
    assert sum(one.desired_replicas(10) for one in parts) == pytest.approx(alone.desired_replicas(40))


@pytest.mark.parametrize(("items", "workers", "expected"), [(1, 1, 1 / 4), (4, 1, 1), (9, 1, 1), (1, 2, 1 / 8)])
def test_a_batcher_tells_what_part_of_its_capacity_is_used(items: int, workers: int, expected: float) -> None:
    """A batch that is not full uses a part of it; one that leaves items waiting all of it, whatever its size."""
    entered, gate = threading.Semaphore(0), threading.Event()
    parts: list[float] = []

    def predict(some: Any, key: Any) -> Any:
        entered.release()
        gate.wait(GUARD)
        return some

    batcher = Batcher("t", predict, 4, workers, Settings(max_wait_ms=0))
    begin: Callable[[float], None] = batcher._load.begin
    batcher._load.begin = lambda part: (parts.append(part), begin(part))[1]  # type: ignore[method-assign,func-returns-value]
    pending = batcher.submit(range(items))
    assert entered.acquire(timeout=GUARD)
    assert parts == [expected]
    gate.set()
    assert len(list(pending)) == items
    wait_for(lambda: batcher.waiting == 0)


def test_the_rules_of_an_autoscaler() -> None:
    rule = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}]}
    down = {"stabilizationWindowSeconds": 60, "policies": [{"type": "Percent", "value": 50, "periodSeconds": 30}]}
    scaler = Scaler(Autoscaler(1, 10, {"scaleUp": rule, "scaleDown": down}))
    assert scaler.decide(0, 4, 4.3) == 4, "within the tolerance"
    assert scaler.decide(15, 4, 9.0) == 6, "two in 30 s"
    assert scaler.decide(30, 6, 9.0) == 6
    assert scaler.decide(45, 6, 99.0) == 8
    assert scaler.decide(60, 8, 0.0) == 8, "the window has larger wishes"
    assert scaler.decide(106, 8, 0.0) == 4
    assert scaler.decide(137, 4, 0.0) == 2
    assert scaler.decide(168, 2, 0.0) == 1, "no fewer than there must be"


def test_replicas_follow_an_hour_of_load_without_flapping() -> None:
    rows = {}
    for name, simulation in simulations().items():
        simulation.run()
        assert len(simulation.waits) > 5000
        rows[name] = Row.of(simulation)
    day, steady, batches = rows["a day in an hour"], rows["steady"], rows["a day, batches of eight"]
    for row in (day, batches):
        assert row.longest_wait < 5 * 1.1, "the target"
        assert row.p95_wait < 1
        assert row.replicas[0] == 2
        assert row.replicas[1] in (8, 9)
        assert row.turns == 1, "up in the morning, down in the evening"
    assert steady.replicas[1] - steady.replicas[0] <= 2
    assert steady.turns <= 1
    at_once = rows["six times as much at once"]
    assert at_once.turns == 1
    assert at_once.p95_wait < 5, "what came before the new replicas served had to wait"
    alone = rows["a day, by the queue alone"]
    assert alone.turns > day.turns
    assert alone.p95_wait > 5, "the signal would not do without the use"

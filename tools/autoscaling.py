"""An hour of load in seconds: replicas follow tensorhop_desired_replicas by the rules of a HorizontalPodAutoscaler.

`python tools/autoscaling.py` prints the tables of docs/kubernetes.md. The clock is simulated; the number comes from the
code that the services run, and the scaling policies from deploy/kubernetes.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import yaml

from tensorhop.observe.load import Load

KUBERNETES = Path(__file__).parent.parent / "deploy" / "kubernetes"
HOUR = 3600.0
# Of Kubernetes and Prometheus by default, and of the ScaledObjects.
TOLERANCE = 0.1
SYNC_SECONDS = 15.0  # between two decisions, and between two scrapes
START_SECONDS = 40.0  # from the wish for a replica until it serves: its pod, its model, its address


@dataclass(frozen=True)
class Autoscaler:
    """What a ScaledObject says: how many replicas there may be, and how fast that may change."""

    least: int
    most: int
    behavior: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, service: str) -> "Autoscaler":
        """From the layout pools."""
        objects = yaml.safe_load_all((KUBERNETES / "pools" / "autoscaling" / "scaledobjects.yaml").read_text())
        (spec,) = (one["spec"] for one in objects if one["metadata"]["name"] == service)
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        return cls(spec["minReplicaCount"], spec["maxReplicaCount"], behavior)


@dataclass
class Scaler:
    """The rules of a HorizontalPodAutoscaler with one metric whose target is 1 a replica (autoscaling/v2)."""

    rules: Autoscaler
    _wishes: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)  # when, and by how many replicas

    def decide(self, now: float, current: int, total: float) -> int:
        """How many replicas there shall be, where there are `current`, and the sum of the metric is `total`."""
        wish = current if abs(total / current - 1) <= TOLERANCE else math.ceil(total)
        self._wishes.append((now, min(max(wish, self.rules.least), self.rules.most)))
        up, down = (self.rules.behavior[name] for name in ("scaleUp", "scaleDown"))
        lowest = min(self._recent(now, up["stabilizationWindowSeconds"]))
        highest = max(self._recent(now, down["stabilizationWindowSeconds"]))
        decided = min(max(current, lowest), highest)
        if decided > current:
            decided = min(decided, self._limit(now, current, up, 1))
        elif decided < current:
            decided = max(decided, self._limit(now, current, down, -1))
        if decided != current:
            self._changes.append((now, decided - current))
        return decided

    def _recent(self, now: float, seconds: float) -> list[int]:
        return [wish for when, wish in self._wishes if when == now or now - when < seconds]

    def _limit(self, now: float, current: int, rule: dict[str, Any], sign: int) -> int:
        """How far the policies let the number go; the one that allows most decides."""
        limits = []
        for policy in rule["policies"]:
            changed = [by for when, by in self._changes if now - when < policy["periodSeconds"] and by * sign > 0]
            start = current - sum(changed)
            part = policy["value"] if policy["type"] == "Pods" else start * policy["value"] / 100
            limits.append(math.ceil(start + part) if sign > 0 else math.floor(start - part))
        return max(limits) if sign > 0 else min(limits)


class Replica:
    """One replica: a queue, and a model that takes the same time for every batch."""

    def __init__(self, simulation: "Simulation", starts: float) -> None:
        self.starts, self.leaves = starts, math.inf
        self._simulation = simulation
        self.waiting: deque[float] = deque()
        self.load: Load = Load(simulation.target, lambda: simulation.now)
        self.busy = False

    def take(self, arrived: float) -> None:
        self.waiting.append(arrived)
        if not self.busy:
            self._start()

    def _start(self) -> None:
        simulation = self._simulation
        batch = [self.waiting.popleft() for _ in range(min(simulation.largest, len(self.waiting)))]
        simulation.waits += [(arrived, simulation.now - arrived) for arrived in batch]
        part = 1.0 if self.waiting else len(batch) / simulation.largest
        seconds = simulation.seconds(len(batch))
        self.busy = True
        self.load.begin(part)

        def end() -> None:
            self.load.end(part, len(batch), seconds)
            self.busy = False
            if self.waiting:
                self._start()

        simulation.at(simulation.now + seconds, end)


class Simulation:
    """A service for an hour.

    Args:
        rate: items a second that arrive at a time.
        seconds: that a batch of so many items takes.
        largest: items of a batch.
        target: seconds that an item may wait.
        replicas: at the start; as few as there may be if not given.
        signal: the metric of a replica; tensorhop_desired_replicas if not given.
    """

    def __init__(
        self,
        rules: Autoscaler,
        rate: Callable[[float], float],
        seconds: Callable[[int], float],
        largest: int = 1,
        target: float = 5.0,
        replicas: int = 0,
        signal: Callable[[Replica], float] = lambda one: one.load.desired_replicas(len(one.waiting)),
        seed: int = 1,
    ) -> None:
        self.now = 0.0
        self.seconds, self.largest, self.target, self._signal = seconds, largest, target, signal
        self.waits: list[tuple[float, float]] = []  # of each item, when it came and how long it waited
        self.history: list[tuple[float, int]] = []  # how many replicas were wished for, when
        self._rate, self._rules = rate, rules
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._scaler = Scaler(rules)
        self._replicas = [Replica(self, 0.0) for _ in range(replicas or rules.least)]
        self._turn = 0

    def at(self, when: float, what: Callable[[], None]) -> None:
        heappush(self._events, (when, next(self._order), what))

    def run(self) -> None:
        """The whole hour, and until the last item is done."""
        self.at(0.0, self._arrive)
        self.at(SYNC_SECONDS, self._scale)
        while self._events:
            self.now, _, event = heappop(self._events)
            event()

    def _arrive(self) -> None:
        """An item comes, at random times of the rate, and goes to the next replica in turn."""
        if self.now >= HOUR:
            return
        serving = [one for one in self._replicas if one.starts <= self.now < one.leaves]
        self._turn += 1
        serving[self._turn % len(serving)].take(self.now)
        self.at(self.now + self._random.expovariate(self._rate(self.now)), self._arrive)

    def _scale(self) -> None:
        if self.now >= HOUR:
            return
        wanted = [one for one in self._replicas if one.leaves > self.now]
        total = sum(self._signal(one) for one in wanted if one.starts <= self.now)
        decided = self._scaler.decide(self.now, len(wanted), total)
        for _ in range(decided - len(wanted)):
            self._replicas.append(Replica(self, self.now + START_SECONDS))
        for one in wanted[decided:]:  # the youngest first, as a ReplicaSet does; what waits there is still done
            one.leaves = self.now
        self.history.append((self.now, decided))
        self.at(self.now + SYNC_SECONDS, self._scale)


@dataclass(frozen=True)
class Row:
    """What became of an hour, or of a part of it."""

    items: int
    replicas: tuple[int, int]
    mean_wait: float
    p95_wait: float
    longest_wait: float
    turns: int  # how often a rise followed a fall, or a fall a rise

    @classmethod
    def of(cls, simulation: Simulation, start: float = 0.0, end: float = HOUR) -> "Row":
        waits = sorted(wait for arrived, wait in simulation.waits if start <= arrived < end)
        counts = [replicas for when, replicas in simulation.history if start <= when < end]
        steps = [later - earlier for earlier, later in pairwise(counts) if later != earlier]
        turns = sum(one * other < 0 for one, other in pairwise(steps))
        return cls(
            len(waits),
            (min(counts), max(counts)),
            sum(waits) / len(waits),
            waits[int(0.95 * len(waits))],
            waits[-1],
            turns,
        )


def day(now: float) -> float:
    """Items a second: a quiet start, a morning's rise, a plateau, a peak, and an evening, in an hour."""
    points = [(0, 0.5), (600, 0.5), (1200, 4.0), (2100, 4.0), (2400, 6.0), (2700, 6.0), (3000, 1.0), (3600, 0.5)]
    for (before, low), (after, high) in pairwise(points):
        if before <= now <= after:
            return low + (high - low) * (now - before) / (after - before)
    return points[-1][1]


def steady(now: float) -> float:
    return 2.5


def step(now: float) -> float:
    """From one replica's load to six times as much at once, and back after half an hour."""
    return 3.6 if 900 <= now < 2700 else 0.6


def one_second(items: int) -> float:
    """A model on a processor: each item takes a second, in a batch too."""
    return 1.0 * items


def accelerator(items: int) -> float:
    """A model that takes a batch of eight in twice the time of one item."""
    return 0.4 + (items - 1) * 0.4 / 7


def queue_alone(replica: Replica) -> float:
    """What an autoscaler is often given: items waiting and running, by their seconds, over the target."""
    simulation = replica._simulation
    return (len(replica.waiting) + replica.busy) * simulation.seconds(1) / simulation.target


def simulations() -> dict[str, Simulation]:
    rules = Autoscaler.of("segment")
    return {
        "a day in an hour": Simulation(rules, day, one_second),
        "steady": Simulation(rules, steady, one_second, replicas=4),
        "six times as much at once": Simulation(rules, step, one_second),
        "a day, batches of eight": Simulation(rules, lambda now: 10 * day(now), accelerator, largest=8),
        "a day, by the queue alone": Simulation(rules, day, one_second, signal=queue_alone),
    }


def main() -> None:
    print("| load | items | replicas | mean wait | 95th percentile | longest | turns |")
    print("| -- | -- | -- | -- | -- | -- | -- |")
    for name, simulation in simulations().items():
        simulation.run()
        row = Row.of(simulation)
        low, high = row.replicas
        waits = " | ".join(f"{wait:.1f} s" for wait in (row.mean_wait, row.p95_wait, row.longest_wait))
        print(f"| {name} | {row.items:,} | {low} to {high} | {waits} | {row.turns} |")


if __name__ == "__main__":
    main()

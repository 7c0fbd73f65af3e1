"""Dynamic batching: what waits when the model becomes free goes to it together.

An idle model starts at once on whatever comes, so batching adds no delay; while it works, a batch gathers. Callers take
turns, and so do the requests of a caller: many requests do not hold up another caller's first, nor a request of many
items another's.
"""

import atexit
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from tensorhop.errors import Abandoned, Overloaded
from tensorhop.observe import metrics
from tensorhop.observe.load import Load
from tensorhop.rpc.fairness.callers import Caller, current_caller
from tensorhop.rpc.fairness.shares import FairShare
from tensorhop.rpc.fairness.turns import Turns
from tensorhop.settings import Settings, current_settings

END_SECONDS = 10.0  # at the end of the process, for what the models work on

Outcome = tuple[int, Any | Exception]  # an item's index in its request, and its result or what it failed of
OnLeave = Callable[
    [Callable[[], None]], bool
]  # takes what to call when the caller leaves; False if it has left already
Predict = Callable[[Sequence[Any], Any], Sequence[Any]]  # items of one key, the key -> a result each


class PendingItems:
    """The items of one request. Iterating it waits for their outcomes, and ends early when it is cancelled."""

    def __init__(self, items: Sequence[Any], key: Hashable, caller: Caller = ()) -> None:
        self.key, self.caller = key, caller
        self.waiting: deque[tuple[int, Any]] = deque(enumerate(items))
        self.since = time.monotonic()
        self.gone = False
        self._left = len(items)
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()

    def cancel(self) -> None:
        """The caller has gone: what is not computed yet never is."""
        self.gone = True
        self._outcomes.put(None)

    def answer(self, index: int, outcome: Any | Exception) -> None:
        self._outcomes.put((index, outcome))

    def __iter__(self) -> Iterator[Outcome]:
        while self._left:
            outcome = self._outcomes.get()
            if outcome is None:
                return
            self._left -= 1
            yield outcome


class Batcher:
    """One model's queue, and the threads that run the model.

    Args:
        name: of the service, for the metrics.
        predict: the model on a batch: items and the key that they share; a result each, in their order.
        largest: how many items go together at most.
        workers: threads that run the model side by side.
        settings: how many items may wait, and how long a batch waits to be full; this process's if not given.
    """

    def __init__(
        self,
        name: str,
        predict: Predict,
        largest: int,
        workers: int = 1,
        settings: Settings | None = None,
    ) -> None:
        self._name, self._predict, self._largest, self._workers = name, predict, largest, workers
        settings = settings or current_settings()
        self.most_waiting = settings.max_queue  # items
        self._max_wait = settings.max_wait_ms / 1000  # seconds that a batch which is not full waits for more
        self._room = FairShare(self.most_waiting)
        self._turns = Turns()
        # By caller, the requests with items that wait; the first of them is next.
        self._waiting: dict[Caller, OrderedDict[int, PendingItems]] = {}
        self._seconds = 0.0  # that a batch takes, smoothed
        self._load = Load(settings.target_queue_seconds)
        self._change = threading.Condition()
        self._ended = False
        self._threads = [threading.Thread(target=self._work, name=f"{name}-model", daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()
        atexit.register(self._end)

    @property
    def waiting(self) -> int:
        """Items that wait now; those that the model works on are not among them."""
        return self._room.held

    def desired_replicas(self) -> float:
        """How many replicas are wanted: this one's part, for an autoscaler that adds up those of all replicas."""
        return self._load.desired_replicas(self.waiting)

    def submit(self, items: Sequence[Any], key: Hashable = None, on_leave: OnLeave | None = None) -> PendingItems:
        """Queue the items of the current caller's request; only items of equal keys go together.

        Args:
            on_leave: has a function called when the caller leaves, as grpc.ServicerContext.add_callback does; what is
                not computed by then never is.

        Raises:
            Overloaded: they would be more than may wait, and the caller has its share of them.
        """
        ticket = PendingItems(items, key, current_caller())
        if on_leave is not None and not on_leave(ticket.cancel):
            ticket.cancel()  # the caller has gone already
        with self._change:
            if items and not self._room.take(ticket.caller, len(items)):
                batches = -(-self.waiting // (self._largest * self._workers))
                raise Overloaded(
                    f"{self._name} has {self.waiting} waiting, of at most {self.most_waiting}; try again later",
                    retry_after=max(0.05, batches * self._seconds),
                )
            if items:
                self._waiting.setdefault(ticket.caller, OrderedDict())[id(ticket)] = ticket
                self._change.notify()
        return ticket

    def each(self, items: Sequence[Any], key: Hashable = None, on_leave: OnLeave | None = None) -> Iterator[Outcome]:
        """The outcome of each item of a list of any length. Takes what `submit` does.

        A batch is queued when the one before it is answered and taken: of large results only a batch is in memory, and
        a long list does not fill the queue.

        Raises:
            Overloaded: too much is waiting at the start. Later, it is the outcome of the items that found no room.
        """
        for start in range(0, len(items), self._largest):
            some = items[start : start + self._largest]
            try:
                pending = self.submit(some, key, on_leave)
            except Overloaded as error:
                if start == 0:
                    raise
                yield from ((start + index, error) for index in range(len(some)))
                continue
            yield from ((start + index, outcome) for index, outcome in pending)
            if pending.gone:
                return

    def one(self, item: Any, key: Hashable = None, on_leave: OnLeave | None = None) -> Any:
        """The result of one item. Takes what `submit` does.

        Raises:
            Overloaded: too much is waiting.
            Abandoned: the caller has left.
            Exception: what the model raises for the item.
        """
        for _, outcome in self.submit([item], key, on_leave):
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        raise Abandoned(f"{self._name} was left by its caller")

    def _end(self) -> None:
        """Let the model finish what it works on: native code that returns after Python has ended aborts the process."""
        with self._change:
            self._ended = True
            self._change.notify_all()
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while taken := self._next():
            batch, key = taken
            started = time.monotonic()
            for ticket, _, _ in batch:
                metrics.queue_seconds(self._name, started - ticket.since)
            metrics.batch_size(self._name, len(batch))
            # A batch after which nothing waits could have been larger; one that left items was as large as it could be.
            part = (1 if self._waiting else len(batch) / self._largest) / self._workers
            self._load.begin(part)
            self._run(batch, key)
            seconds = time.monotonic() - started
            self._load.end(part, len(batch), seconds / self._workers)
            self._seconds += 0.2 * (seconds - self._seconds)

    def _next(self) -> tuple[list[tuple[PendingItems, int, Any]], Hashable] | None:
        """Wait for items, and take a batch of them: one of each caller in turn, until it is full. None at the end."""
        with self._change:
            while not self._ended:
                self._drop_gone()
                if not self._waiting:
                    self._change.wait()
                    continue
                first = next(iter(self._waiting[self._turns.next(self._waiting)].values()))
                if self._max_wait and self._count(first.key) < self._largest:
                    left = first.since + self._max_wait - time.monotonic()
                    if left > 0:
                        self._change.wait(left)
                        continue
                return self._take(first.key), first.key
            return None

    def _first(self, caller: Caller, key: Hashable) -> PendingItems | None:
        """The request of a caller whose turn it is, of those with a key; None if there is none."""
        return next((one for one in self._waiting[caller].values() if one.key == key), None)

    def _all(self) -> list[PendingItems]:
        return [ticket for requests in self._waiting.values() for ticket in requests.values()]

    def _drop_gone(self) -> None:
        for ticket in self._all():
            if ticket.gone:
                self._room.give_back(ticket.caller, len(ticket.waiting))
                self._remove(ticket)

    def _remove(self, ticket: PendingItems) -> None:
        requests = self._waiting[ticket.caller]
        del requests[id(ticket)]
        if not requests:
            del self._waiting[ticket.caller]

    def _count(self, key: Hashable) -> int:
        return sum(len(ticket.waiting) for ticket in self._all() if ticket.key == key)

    def _take(self, key: Hashable) -> list[tuple[PendingItems, int, Any]]:
        batch: list[tuple[PendingItems, int, Any]] = []
        while len(batch) < self._largest:
            ready = {caller: one for caller in self._waiting if (one := self._first(caller, key))}
            if not ready:
                break
            ticket = ready[self._turns.next(ready)]
            self._turns.served(ticket.caller)
            batch.append((ticket, *ticket.waiting.popleft()))
            self._room.give_back(ticket.caller)
            if ticket.waiting:
                self._waiting[ticket.caller].move_to_end(id(ticket))  # the caller's other requests come first
            else:
                self._remove(ticket)
        return batch

    def _run(self, batch: Sequence[tuple[PendingItems, int, Any]], key: Hashable) -> None:
        try:
            answers = self._predict([item for _, _, item in batch], key)
            results = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) == 1:
                results = [(batch[0], error)]
            else:  # one of them is bad: each alone, so that it fails alone
                for one in batch:
                    if not one[0].gone:
                        self._run([one], key)
                return
        for (ticket, index, _), result in results:
            ticket.answer(index, result)

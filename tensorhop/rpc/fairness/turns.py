"""Whose turn it is: round robin over callers, however many requests each of them has."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import cachetools

from tensorhop.rpc.fairness.callers import Caller

MOST_REMEMBERED = 10_000  # callers; one that was not served for so long has the next turn anyhow


class Turns:
    """Remembers who was served when. At each level of a caller, the one who was served longest ago is next."""

    def __init__(self) -> None:
        self._served: cachetools.LRUCache[Caller, int] = cachetools.LRUCache(MOST_REMEMBERED)
        self._count = 0

    def next(self, callers: Iterable[Caller]) -> Caller:
        """Whose turn it is among those who wait, of whom there must be one."""
        return min(callers, key=self._since)

    def served(self, caller: Caller) -> None:
        """A caller has had its turn."""
        self._count += 1
        for level in range(len(caller)):
            self._served[caller[: level + 1]] = self._count

    def _since(self, caller: Caller) -> tuple[int, ...]:
        return tuple(self._served.get(caller[: level + 1], 0) for level in range(len(caller)))


class FairSemaphore:
    """Lets so many work at once; the others wait, and get in by turns of their callers."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._turns = Turns()
        self._waiting: dict[Caller, deque[threading.Event]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, caller: Caller) -> Iterator[None]:
        """Around the work of a caller."""
        mine = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                mine.set()
            else:
                self._waiting.setdefault(caller, deque()).append(mine)
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    following = self._turns.next(self._waiting)
                    self._turns.served(following)
                    self._waiting[following].popleft().set()
                    if not self._waiting[following]:
                        del self._waiting[following]
                else:
                    self._free += 1

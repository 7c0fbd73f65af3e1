"""Threads that requests share: to start some for each request would cost a small one more than its calls."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)

# As many as there ever were tasks at once; each request bounds its own, and the server bounds the requests.
_THREADS = ThreadPoolExecutor(100_000, thread_name_prefix="chain")


class TaskGroup:
    """The tasks of one request, of which at most `most` run at once, in their order. Its end waits for all of them.

    Args:
        most: tasks at once.
        name: of the threads while they work on them.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._waiting: deque[Callable[[], object]] = deque()
        self._running = 0
        self._changed = threading.Condition(threading.Lock())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._running)

    def submit(self, task: Callable[[], object]) -> None:
        """Run a task as soon as there is a place. An exception of it is only logged."""
        with self._changed:
            self._waiting.append(task)
            if self._running == self._most:
                return
            self._running += 1
        _THREADS.submit(self._work)

    def _work(self) -> None:
        threading.current_thread().name = self._name
        while (task := self._next()) is not None:
            try:
                task()
            except Exception:
                log.exception("a task of a request failed")

    def _next(self) -> Callable[[], object] | None:
        """The next task; None if there is none, and this thread's place is free again."""
        with self._changed:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            self._changed.notify_all()
            return None


@dataclass(frozen=True)
class Ended:
    """Work has ended: well, or by an exception."""

    error: Exception | None = None


def as_they_come(work: Callable[[Callable[[T], None]], None], name: str, cancel: Callable[[], None]) -> Iterator[T]:
    """What work in another thread hands over, as soon as it does. It ends as the work does, by its exception too.

    Args:
        work: gets the function that hands over, which it may call from any thread until it returns.
        name: of the thread while it works.
        cancel: makes the work end early; called when nobody takes what comes any more.
    """
    outcomes: SimpleQueue[T | Ended] = SimpleQueue()

    def run() -> None:
        try:
            work(outcomes.put)
        except Exception as error:
            outcomes.put(Ended(error))
        else:
            outcomes.put(Ended())

    with TaskGroup(1, name) as working:
        try:
            working.submit(run)
            while not isinstance(outcome := outcomes.get(), Ended):
                yield outcome
        except GeneratorExit:  # without this the threads would finish their work first
            cancel()
            raise
    if outcome.error is not None:
        raise outcome.error

"""Many callers at once: each takes the next piece of work when it has the answer to its last."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Load:
    """Seconds until all work was done, and until each piece was."""

    seconds: float
    each: list[float]

    @property
    def rate(self) -> float:
        """Pieces a second."""
        return len(self.each) / self.seconds

    def percentile(self, percent: float) -> float:
        """The least time within which so many percent of the pieces were done."""
        ordered = sorted(self.each)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def under_load(call: Callable[[Any], Any], work: Sequence[Any], callers: int, most_seconds: float = math.inf) -> Load:
    """Have so many threads do all the work. Raises what a call raises, once all have ended.

    Args:
        most_seconds: after its first piece, a caller begins none that would not be done within this time if it took as
            long as the caller's last.
    """
    left = iter(list(work))
    turn = threading.Lock()
    each: list[float] = []
    errors: list[Exception] = []

    def run() -> None:
        last = 0.0
        try:
            while not errors and (not last or time.perf_counter() - started + last <= most_seconds):
                with turn:
                    piece = next(left, None)
                if piece is None:
                    return
                began = time.perf_counter()
                call(piece)
                last = time.perf_counter() - began
                each.append(last)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, name="caller") for _ in range(callers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return Load(time.perf_counter() - started, each)

"""How many replicas of a service are wanted, as this replica sees it: its part of a sum over all of them."""

import threading
import time
from collections.abc import Callable
from math import exp

TARGET_USE = 0.7  # the part of a replica's capacity that is to be in use
AVERAGE_SECONDS = 60.0  # over which the use is averaged, exponentially
SMOOTHING = 0.2  # weight of the latest batch in the time that an item takes


class Load:
    """The use of one replica's capacity over time, and the time that an item takes.

    Work that runs says how many replicas the load needs for good: by Little's law, the average use is the rate of
    arrivals times the time that an item takes. It cannot exceed 1, so what waits is added: as many replicas as work it
    off within the target. A queue alone would not do: it is empty while there are enough replicas, so that an
    autoscaler would remove them again.

    Args:
        target_seconds: how long an item may wait.
        clock: seconds.
    """

    def __init__(self, target_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._target_seconds, self._clock = target_seconds, clock
        self._use = self._average = 0.0  # 0 to 1: now, and averaged
        self._since = clock()
        self._seconds = self._items = 0.0  # of a batch, smoothed
        self._lock = threading.Lock()

    def begin(self, part: float) -> None:
        """A batch begins, which takes this part of the capacity, 0 to 1."""
        self._change(part)

    def end(self, part: float, items: int, seconds: float) -> None:
        """A batch of so many items is over, which took so many seconds of the whole replica."""
        self._change(-part)
        with self._lock:
            self._items += SMOOTHING * (items - self._items)
            self._seconds += SMOOTHING * (seconds - self._seconds)

    def desired_replicas(self, waiting: int) -> float:
        """This replica's part of the replicas that are wanted, with so many items waiting here."""
        self._change(0.0)
        with self._lock:
            item = self._seconds / self._items if self._items else 0.0
            return self._average / TARGET_USE + waiting * item / self._target_seconds

    def _change(self, part: float) -> None:
        with self._lock:
            now = self._clock()
            self._average += (self._use - self._average) * (1 - exp((self._since - now) / AVERAGE_SECONDS))
            self._use += part
            self._since = now


def desired_by_calls(under_way: int, most: int) -> float:
    """This replica's part of the replicas that are wanted of a server whose capacity is the calls that it takes."""
    return under_way / most / TARGET_USE

"""How many pixels are worked on at once: a photo of 100 megapixels takes some gigabytes of memory on its way."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST_PIXELS = 50_000_000  # at once: four photos of 12 megapixels, or one of any size
POLL_SECONDS = 0.1  # between two looks at whether the run is over


class PixelBudget:
    """Lets photos, or objects, begin in the order in which they ask, while their pixels together are few enough.

    Args:
        most: pixels at once. What has more is worked on alone.
    """

    def __init__(self, most: int = MOST_PIXELS) -> None:
        self._most, self._used = most, 0
        self._next = threading.Lock()  # held by the photo that waits for room; the others wait for it
        self._changed = threading.Condition()

    @contextmanager
    def room(self, pixels: int, check: Callable[[], None]) -> Iterator[None]:
        """Wait until there is room for that many pixels, and keep it until the work is done.

        Args:
            check: called while waiting; what it raises ends the wait.
        """
        while not self._next.acquire(timeout=POLL_SECONDS):
            check()
        try:
            with self._changed:
                while self._used and self._used + pixels > self._most:
                    self._changed.wait(POLL_SECONDS)
                    check()
                self._used += pixels
        finally:
            self._next.release()
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()

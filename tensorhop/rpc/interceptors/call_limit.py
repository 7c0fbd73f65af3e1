"""The call limit of a server, and the counts and times of its calls."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tensorhop.errors import Overloaded
from tensorhop.v1 import info_pb2


class CallLimit:
    """Counts and times calls, and refuses those beyond `most` at once."""

    def __init__(self, most: int) -> None:
        self._calls = info_pb2.Calls(most=most)
        self._lock = threading.Lock()

    @contextmanager
    def call(self) -> Iterator[None]:
        """The context of one call. Raises Overloaded: `most` calls are under way already."""
        calls = self._calls
        with self._lock:
            if calls.under_way >= calls.most:
                raise Overloaded(f"{calls.under_way} calls are under way, the most that may be; try again later", 0.1)
            calls.under_way += 1
        started, failed = time.monotonic(), False
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            with self._lock:
                calls.under_way -= 1
                calls.ended += 1
                calls.failed += failed
                calls.last_seconds = time.monotonic() - started
                calls.seconds += calls.last_seconds

    def calls(self) -> info_pb2.Calls:
        """The counts and times as they are now."""
        calls = info_pb2.Calls()
        with self._lock:
            calls.CopyFrom(self._calls)
        return calls

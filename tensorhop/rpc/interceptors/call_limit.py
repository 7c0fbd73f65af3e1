"""The call limit of a server, and the counts and times of its calls."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tensorhop.errors import Overloaded
from tensorhop.rpc.fairness.callers import current_caller
from tensorhop.rpc.fairness.shares import FairShare
from tensorhop.v1 import info_pb2


class CallLimit:
    """Counts and times calls, and refuses at once those beyond `most` of a caller that has its share of them."""

    def __init__(self, most: int) -> None:
        self._calls = info_pb2.Calls(most=most)
        self._share = FairShare(most)
        self._lock = threading.Lock()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call of the current caller. Raises Overloaded: as many are under way as may be."""
        calls, caller = self._calls, current_caller()
        if not self._share.take(caller):
            under_way = self._share.held
            raise Overloaded(f"{under_way} calls are under way, the most that may be; try again later", 0.1)
        with self._lock:
            calls.under_way += 1
        started, failed = time.monotonic(), False
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            self._share.give_back(caller)
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

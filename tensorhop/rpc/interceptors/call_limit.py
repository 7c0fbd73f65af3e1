"""The call limit of a server, and the counts and times of its calls."""

import threading
import time
from types import TracebackType

from tensorhop.errors import Overloaded
from tensorhop.observe.load import desired_by_calls
from tensorhop.rpc.fairness.callers import Caller, current_caller
from tensorhop.rpc.fairness.shares import FairShare
from tensorhop.v1 import info_pb2


class CallLimit:
    """Counts and times calls, and refuses at once those beyond `most` of a caller that has its share of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ended = self._failed = 0
        self._last_seconds = self._seconds = 0.0
        self._share = FairShare(most)
        self._lock = threading.Lock()

    def call(self) -> "CountedCall":
        """Around one call of the current caller. Raises Overloaded: as many are under way as may be."""
        return CountedCall(self)

    @property
    def under_way(self) -> int:
        """Calls that have not ended."""
        return self._share.held

    def calls(self) -> info_pb2.Calls:
        """The counts and times as they are now."""
        with self._lock:
            return info_pb2.Calls(
                most=self._most,
                under_way=self.under_way,
                ended=self._ended,
                failed=self._failed,
                last_seconds=self._last_seconds,
                seconds=self._seconds,
            )

    def desired_replicas(self) -> float:
        """How many replicas are wanted: this one's part, for an autoscaler that adds up those of all replicas."""
        return desired_by_calls(self.under_way, self._most)

    def begin(self, caller: Caller) -> None:
        """A call of this caller begins. Raises Overloaded."""
        if not self._share.take(caller):
            raise Overloaded(f"{self.under_way} calls are under way, the most that may be; try again later", 0.1)

    def end(self, caller: Caller, seconds: float, failed: bool) -> None:
        """A call that has begun is over."""
        self._share.give_back(caller)
        with self._lock:
            self._ended += 1
            self._failed += failed
            self._last_seconds = seconds
            self._seconds += seconds


class CountedCall:
    """The context of one call. A class, because a generator would cost a small call ten times as much."""

    __slots__ = ("_caller", "_limit", "_started")

    def __init__(self, limit: CallLimit) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        self._caller = current_caller()
        self._limit.begin(self._caller)
        self._started = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        failed = kind is not None and issubclass(kind, Exception)  # a caller that leaves a stream is no failure
        self._limit.end(self._caller, time.monotonic() - self._started, failed)

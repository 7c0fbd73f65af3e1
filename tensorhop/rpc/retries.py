"""Trying again what may succeed: calls that failed for a moment, and the missing rest of a stream that broke."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from tensorhop.errors import ServiceFault
from tensorhop.v1 import fault_pb2

T = TypeVar("T")

MOST_TRIES = 6  # of one call; of a stream, without an answer in between
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds; doubles each time, and a part of it is chance
LONGEST_PUSHBACK = 10.0  # seconds that a service may ask to be left alone
# Seconds of being pushed back after which a call gives up. The pipeline bounds what it accepts; what it has accepted
# waits until there is room, however often it must ask.
LONGEST_REFUSAL = 60.0
LONGEST_OUTAGE = 5.0  # seconds to wait for a connection where there is none, as between two restarts
LOOK_SECONDS = 1.0  # between two looks at whether the request is still wanted
# As gRPC's retry throttling: a retry costs 1; below half, none is made. When a replica dies, all calls on it fail at
# once: half of the tokens are for as many calls as a pipeline has under way by default, 64 requests of 4 objects each.
TOKENS, PER_SUCCESS = 512.0, 0.1


class Wanted(Protocol):
    """A request, for as long as its answer is wanted."""

    @property
    def cancelled(self) -> bool: ...

    def timeout(self) -> float:
        """Seconds that a call may take now."""

    def wait(self, seconds: float) -> bool:
        """Wait, unless the request is cancelled; returns whether it is."""


class Retry:
    """How one service is tried again. The budget is shared by all requests, so that an outage is not met with a storm.

    Args:
        ready: waits so many seconds for a connection; tells whether there is one. What it waits for costs the service
            nothing, and the budget neither.
    """

    def __init__(self, ready: Callable[[float], bool] = lambda seconds: True) -> None:
        self._ready = ready
        self._tokens = TOKENS
        self._lock = threading.Lock()

    def call(self, attempt: Callable[[], T], scope: Wanted) -> T:
        """What an attempt returns. Raises ServiceFault: the last one's."""
        (answer,) = self.stream(lambda: iter([attempt()]), scope)
        return answer

    def stream(self, attempt: Callable[[], Iterator[T]], scope: Wanted, resumes: bool = True) -> Iterator[T]:
        """The answers of a stream. An attempt after the first asks only for what is missing; the caller keeps count.

        Args:
            resumes: whether an attempt can do so; otherwise none is made once there was an answer.

        Raises:
            ServiceFault: the last attempt's, or that the request has ended while this waited.
        """
        tries, since, answered = 0, time.monotonic(), False
        while True:
            try:
                for answer in attempt():
                    answered = True
                    yield answer
                    tries, since = 0, time.monotonic()
            except ServiceFault as error:
                if error.lasting or (answered and not resumes):
                    raise
                tries += 1
                pushed_back = is_pushed_back(error.fault)
                pause = pause_of(error.fault, tries, time.monotonic() - since)
                if pause is None or pause >= scope.timeout():
                    raise
                if scope.wait(pause):
                    raise
                if error.fault.code == fault_pb2.CODE_UNAVAILABLE and not self._connected(scope):
                    raise
                if not pushed_back and not self._spend():
                    raise
            else:
                with self._lock:
                    self._tokens = min(TOKENS, self._tokens + PER_SUCCESS)
                return

    def _connected(self, scope: Wanted) -> bool:
        end = time.monotonic() + min(LONGEST_OUTAGE, scope.timeout())
        while not scope.cancelled:
            left = end - time.monotonic()
            if self._ready(max(0.0, min(LOOK_SECONDS, left))):
                return True
            if left <= 0:
                break
        return False

    def _spend(self) -> bool:
        """Take a retry from the budget, if there is one."""
        with self._lock:
            if self._tokens <= TOKENS / 2:
                return False
            self._tokens -= 1
            return True


def is_pushed_back(fault: fault_pb2.Fault) -> bool:
    """Whether the service is full, and says when to come again."""
    return fault.code == fault_pb2.CODE_RESOURCE_EXHAUSTED and fault.HasField("retry_after")


def pause_of(fault: fault_pb2.Fault, tries: int, elapsed: float) -> float | None:
    """Seconds until the next attempt, or None if there shall be none.

    Args:
        tries: how often it has failed without an answer in between, and for how many seconds, `elapsed`.
    """
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)
    if is_pushed_back(fault):
        allowed = fault.retry_after <= LONGEST_PUSHBACK and elapsed < LONGEST_REFUSAL
        return max(pause, fault.retry_after) if allowed else None
    return pause if fault.code == fault_pb2.CODE_UNAVAILABLE and tries < MOST_TRIES else None

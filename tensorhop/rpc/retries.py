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
        tries, since = None, time.monotonic()
        while True:
            try:
                answer = attempt()
            except ServiceFault as error:
                tries = tries or Tries(self, resumes=True, since=since)
                self._wait(error, tries, scope)
            else:
                self.succeeded()
                return answer

    def stream(self, attempt: Callable[[], Iterator[T]], scope: Wanted, resumes: bool = True) -> Iterator[T]:
        """The answers of a stream. An attempt after the first asks only for what is missing; the caller keeps count.

        Args:
            resumes: whether an attempt can do so; otherwise none is made once there was an answer.

        Raises:
            ServiceFault: the last attempt's, or that the request has ended while this waited.
        """
        tries = Tries(self, resumes)
        while True:
            try:
                for answer in attempt():
                    tries.answered()
                    yield answer
                    tries.begin()
            except ServiceFault as error:
                self._wait(error, tries, scope)
            else:
                self.succeeded()
                return

    def _wait(self, error: ServiceFault, tries: "Tries", scope: Wanted) -> None:
        """Wait until the next attempt may be made. Raises the error of the last one if there shall be none."""
        pause = tries.pause(error, scope.timeout())
        if pause is None or scope.wait(pause):
            raise error
        if needs_connection(error) and not self._connected(scope):
            raise error
        if not tries.allowed(error):
            raise error

    def _connected(self, scope: Wanted) -> bool:
        end = time.monotonic() + min(LONGEST_OUTAGE, scope.timeout())
        while not scope.cancelled:
            left = end - time.monotonic()
            if self._ready(max(0.0, min(LOOK_SECONDS, left))):
                return True
            if left <= 0:
                break
        return False

    def succeeded(self) -> None:
        """A call has ended well: it earns a part of a retry."""
        if self._tokens < TOKENS:
            with self._lock:
                self._tokens = min(TOKENS, self._tokens + PER_SUCCESS)

    def spend(self) -> bool:
        """Take a retry from the budget, if there is one."""
        with self._lock:
            if self._tokens <= TOKENS / 2:
                return False
            self._tokens -= 1
            return True


class Tries:
    """The attempts of one call: whether one more follows a failure, by the rule that threads and asyncio share.

    Args:
        retry: whose budget they spend.
        resumes: whether an attempt goes on where the one before broke off; otherwise none is made after an answer.
        since: when the first began, in seconds of time.monotonic(); now if not given.
    """

    def __init__(self, retry: Retry, resumes: bool, since: float | None = None) -> None:
        self._retry, self._resumes = retry, resumes
        self._any_answer = False
        self.begin(since)

    def begin(self, since: float | None = None) -> None:
        """Count anew, as after an answer."""
        self._failures, self._since = 0, time.monotonic() if since is None else since

    def answered(self) -> None:
        """An answer has come."""
        self._any_answer = True

    def pause(self, error: ServiceFault, left: float) -> float | None:
        """Seconds until the next attempt, or None if there shall be none.

        Args:
            left: seconds until the request's deadline.
        """
        if error.lasting or (self._any_answer and not self._resumes):
            return None
        self._failures += 1
        pause = pause_of(error.fault, self._failures, time.monotonic() - self._since)
        return None if pause is None or pause >= left else pause

    def allowed(self, error: ServiceFault) -> bool:
        """Whether the budget allows the next attempt; one that was asked for costs nothing."""
        return is_pushed_back(error.fault) or self._retry.spend()


def needs_connection(error: ServiceFault) -> bool:
    """Whether an attempt after this failure first needs a connection."""
    return error.fault.code == fault_pb2.CODE_UNAVAILABLE


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

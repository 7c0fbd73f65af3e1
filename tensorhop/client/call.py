"""Call: the events of one request, which is made again while nothing has come of it."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar

import grpc

from tensorhop.errors import InvalidInput, ServiceFault, service_of
from tensorhop.observe import tracing
from tensorhop.rpc.fairness.callers import caller_metadata
from tensorhop.rpc.registry import chains
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.status import from_error
from tensorhop.v1 import fault_pb2
from tensorhop.wire.codec import Packet, readable

E = TypeVar("E")
LONGEST_TIMEOUT = 97_200_000.0  # seconds, 27,000 hours: a deadline that is further away fails at once in gRPC


class Call(Generic[E]):
    """The events of one request, as they happen. A caller who leaves early ends the work behind them.

    Until the first event has come, an attempt that failed for a moment is followed by another, as the pipeline does it
    with its services: the server cannot be reached, or is full and says when to come again.

    Args:
        remote: where the method is.
        method: its name.
        packet: the request.
        timeout: seconds for all attempts together; None for no limit.
        retry: by which rule it is tried again; None for one attempt only.
        read: makes an event of an answer.
        metadata: entries of metadata beside those of the caller and of traces.
    """

    def __init__(
        self,
        remote: Remote,
        method: str,
        packet: Packet[Any],
        timeout: float | None,
        retry: Retry | None,
        read: Callable[[Packet[Any]], E],
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._remote, self._method, self._read = remote, method, read
        self._metadata = metadata
        self._packet: Packet[Any] | None = packet
        self.watch: Callable[[Packet[Any]], None] | None = None  # is given each answer, before it becomes an event
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._failure: ServiceFault | None = None
        self._first: Any = self._open()  # the request is on its way before the first event is asked for
        attempt = self._attempt
        self._answers = attempt() if retry is None else retry.stream(attempt, self, resumes=False)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        """Raises ServiceFault: the request as a whole failed, or was closed."""
        if self._failure is not None:
            raise self._failure
        try:
            answer = next(self._answers)
            if self.watch is not None:
                self.watch(answer)
            return self._read(answer)
        except ServiceFault as error:
            self._failure = error
            raise
        except InvalidInput:
            self.close()
            raise

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Call is a request that is under way, and cannot be pickled; its events can")

    def close(self) -> None:
        """Cancel what is still under way; from any thread, also while another waits for the next event."""
        with self._lock:
            self._ended.set()
            call = self._call
        call.cancel()

    # As the rule for retries asks.

    @property
    def cancelled(self) -> bool:
        return self._ended.is_set()

    def timeout(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._deadline - time.monotonic())

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def _attempt(self) -> Iterator[Packet[Any]]:
        call, self._first = self._first or self._open(), None
        try:
            for answer in map(readable, call):
                self._packet = None  # it is not sent again, and may be large
                yield answer
        except grpc.RpcError as error:
            raise failed_attempt(error, self._remote.address) from error

    def _open(self) -> Any:
        assert self._packet is not None
        timeout = None if math.isinf(self._deadline) else self.timeout()
        metadata = [*self._metadata, *caller_metadata(), *tracing.carried()]
        try:
            call = self._remote.call(self._method, self._packet, timeout=timeout, metadata=metadata)
        except ValueError as error:  # the connection was closed, between two attempts
            if not self.cancelled:
                raise
            raise closed() from error
        with self._lock:
            self._call = call
        if self.cancelled:
            call.cancel()
        return call


def failed_attempt(error: grpc.RpcError, address: str) -> ServiceFault:
    """The fault of a failed attempt at an address."""
    fault = from_error(error, address=address)
    if not is_own(fault.fault):
        fault.lasting = True  # a step's: the chain has tried it again already
    return fault


def is_own(fault: fault_pb2.Fault) -> bool:
    """Whether a fault of a call to a chain is the chain's own, or nobody's, such as of a broken connection."""
    return service_of(fault) in ("", *chains())


def closed() -> ServiceFault:
    """The fault of a request whose client was closed."""
    return ServiceFault(fault_pb2.Fault(code=fault_pb2.CODE_CANCELLED, message="the client is closed"))


def check_timeout(timeout: float | None) -> float | None:
    """A timeout as gRPC takes it: infinity is none, and a very long one is LONGEST_TIMEOUT.

    Raises:
        InvalidInput: it is no number, or negative.
    """
    if timeout is None or timeout == math.inf:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidInput("timeout", f"is {timeout!r}; it must be a number of seconds, or None")
    return min(float(timeout), LONGEST_TIMEOUT)

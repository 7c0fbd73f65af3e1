"""What all calls behind one request share."""

import threading
import time
from collections.abc import Iterable

import grpc

from tensorhop.errors import ServiceFault, step_of
from tensorhop.observe import tracing
from tensorhop.orchestrator.recording.recorder import Recorder
from tensorhop.request_id import REQUEST_ID
from tensorhop.rpc.fairness.callers import caller_metadata, current_caller
from tensorhop.v1 import fault_pb2, model_pb2, pipeline_pb2
from tensorhop.wire.shared_memory import Loan, Pool

TIMEOUT_SECONDS = 120.0  # for one call of a step, if the caller sets no deadline of its own
LEAST_MARGIN, MOST_MARGIN = 0.05, 0.5  # seconds of the caller's deadline that are kept to send the answer


def margin(seconds: float) -> float:
    """Seconds of a caller's deadline that are kept to send the answer: a tenth, within limits."""
    return min(max(seconds / 10, LEAST_MARGIN), MOST_MARGIN)


class RequestScope:
    """What all calls behind one request share: its id, deadline, slots and end, and what each step did."""

    def __init__(
        self, request_id: str, pool: Pool, seconds: float | None = None, recorder: Recorder | None = None
    ) -> None:
        self.request_id = request_id
        self.recorder = recorder  # None: the request is not recorded
        self.caller = current_caller()  # for whom all calls are made, whatever their thread
        self.metadata = [(REQUEST_ID, request_id), *caller_metadata(self.caller)]  # of every call
        self.slots = Loan(pool)  # that are given back when the request ends
        self._pool = pool
        self.span = tracing.current()  # that all calls behind the request are part of
        self.started = time.monotonic()
        self._ended = threading.Event()
        self._deadline = None if seconds is None else self.started + seconds - margin(seconds)
        self._calls: set[grpc.Call] = set()
        self._summaries: dict[str, pipeline_pb2.StepSummary] = {}  # by the service's name
        self._lock = threading.Lock()

    def loan(self) -> Loan:
        """Slots for a part of the request; they are given back when the `with` block ends."""
        return Loan(self._pool)

    def timeout(self) -> float:
        """Seconds that a call may take now."""
        if self._deadline is None:
            return TIMEOUT_SECONDS
        return max(0.0, min(TIMEOUT_SECONDS, self._deadline - time.monotonic()))

    def check(self) -> None:
        """Raises ServiceFault: the request is cancelled, or its deadline has passed."""
        if self.cancelled:
            raise ServiceFault(fault_pb2.Fault(code=fault_pb2.CODE_CANCELLED, message="the request is cancelled"))
        if self.timeout() <= 0:
            raise ServiceFault(
                fault_pb2.Fault(code=fault_pb2.CODE_DEADLINE_EXCEEDED, message="the request's deadline has passed")
            )

    @property
    def cancelled(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, unless the request is cancelled; returns whether it is."""
        return self._ended.wait(seconds)

    def seconds(self) -> float:
        """Since the request came in."""
        return time.monotonic() - self.started

    def cancel(self) -> None:
        """End every call in flight, and every later one at once."""
        self._ended.set()
        for call in self._calls.copy():  # who enters later sees that it has ended
            call.cancel()

    def close(self) -> None:
        """Give the slots back; no call is in flight any more."""
        self.slots.close()

    def enter(self, call: grpc.Call) -> None:
        self._calls.add(call)
        if self.cancelled:
            call.cancel()

    def leave(
        self,
        call: grpc.Call,
        service: str,
        seconds: float,
        model: model_pb2.Model | None,
        transport: pipeline_pb2.Transport,
    ) -> None:
        self._calls.discard(call)
        with self._lock:
            summary = self._summary(service)
            summary.calls += 1
            summary.seconds += seconds
            summary.transport = transport
            if model is not None:
                summary.model.CopyFrom(model)

    def cached(self, service: str, model: model_pb2.Model) -> None:
        """An answer of a step came from the cache."""
        with self._lock:
            summary = self._summary(service)
            summary.cached += 1
            summary.model.CopyFrom(model)

    def steps(self, order: Iterable[str]) -> list[pipeline_pb2.StepSummary]:
        """What each step did so far, in the chain's order, which is given by the services' names."""
        with self._lock:
            return [self._summaries[name] for name in order if name in self._summaries]

    def _summary(self, service: str) -> pipeline_pb2.StepSummary:
        known = self._summaries.get(service)
        if known is None:
            known = self._summaries[service] = pipeline_pb2.StepSummary(step=step_of(service), service=service)
        return known

"""The chain's steps as the orchestrator sees them: one object a step, with its stub, deadline and faults."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import grpc

from tensorhop.channel import REQUEST_ID, from_error, open_channel
from tensorhop.errors import ServiceFault
from tensorhop.settings import PORTS
from tensorhop.v1 import (
    describe_pb2_grpc,
    detect_pb2_grpc,
    fault_pb2,
    model_pb2,
    pipeline_pb2,
    postprocess_pb2_grpc,
    segment_pb2_grpc,
)

TIMEOUT_SECONDS = 120.0  # for one call of a step, if the caller sets no deadline of its own
MARGIN_SECONDS = 0.05  # of the caller's deadline, kept to send the answer
STEPS = ("describe", "detect", "segment", "postprocess")


class Scope:
    """What all calls behind one request share: its id, its deadline, its end, and a tally of the steps."""

    def __init__(self, request_id: str, seconds: float | None = None) -> None:
        self.request_id = request_id
        self.started = time.monotonic()
        self.cancelled = False
        self._deadline = None if seconds is None else self.started + seconds - MARGIN_SECONDS
        self._calls: set[grpc.Future] = set()
        self._tally: dict[fault_pb2.Step, pipeline_pb2.StepSummary] = {}
        self._lock = threading.Lock()

    def timeout(self) -> float:
        """Seconds that a call may take now."""
        if self._deadline is None:
            return TIMEOUT_SECONDS
        return max(0.0, min(TIMEOUT_SECONDS, self._deadline - time.monotonic()))

    def seconds(self) -> float:
        """Since the request came in."""
        return time.monotonic() - self.started

    def cancel(self) -> None:
        """End every call in flight, and every later one at once."""
        with self._lock:
            self.cancelled = True
            calls = list(self._calls)
        for call in calls:
            call.cancel()

    def enter(self, call: grpc.Future) -> None:
        with self._lock:
            self._calls.add(call)
        if self.cancelled:
            call.cancel()

    def leave(self, call: grpc.Future, step: fault_pb2.Step, seconds: float, model: model_pb2.Model | None) -> None:
        with self._lock:
            self._calls.discard(call)
            summary = self._tally.setdefault(step, pipeline_pb2.StepSummary(step=step))
            summary.calls += 1
            summary.seconds += seconds
            if model is not None:
                summary.model.CopyFrom(model)

    def steps(self) -> list[pipeline_pb2.StepSummary]:
        """What each step did so far, in the chain's order."""
        with self._lock:
            return [self._tally[step] for step in sorted(self._tally)]


@dataclass(frozen=True)
class Stage:
    """One step: the stub's method, and what a failure of it is called."""

    step: fault_pb2.Step
    method: Callable[..., Any]

    def call(self, request: Any, scope: Scope) -> Any:
        """The service's one answer.

        Raises:
            ServiceFault: the call failed; the fault names this step.
        """
        (answer,) = self._run(request, scope, lambda call: iter([call.result()]), self.method.future)  # type: ignore[attr-defined]
        return answer

    def stream(self, request: Any, scope: Scope) -> Iterator[Any]:
        """The service's answers as they come. Raises as `call` does."""
        yield from self._run(request, scope, iter, self.method)

    def _run(
        self, request: Any, scope: Scope, answers: Callable[[Any], Iterator[Any]], start: Callable[..., Any]
    ) -> Iterator[Any]:
        if scope.cancelled:
            raise ServiceFault(self._fault(fault_pb2.CODE_CANCELLED, "was not called; the request is cancelled"))
        timeout = scope.timeout()
        started = time.monotonic()
        call = start(request, timeout=timeout, metadata=[(REQUEST_ID, scope.request_id)])
        scope.enter(call)
        model = None
        try:
            for answer in answers(call):
                model = getattr(answer, "model", None)
                yield answer
        except grpc.FutureCancelledError as error:
            raise ServiceFault(self._fault(fault_pb2.CODE_CANCELLED, "was cancelled")) from error
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                message = f"did not answer within {timeout:.3g} s"
                raise ServiceFault(self._fault(fault_pb2.CODE_DEADLINE_EXCEEDED, message)) from error
            raise from_error(error, self.step) from error
        finally:
            call.cancel()  # of no effect on a call that is over
            scope.leave(call, self.step, time.monotonic() - started, model)

    def _fault(self, code: fault_pb2.Code, message: str) -> fault_pb2.Fault:
        name = fault_pb2.Step.Name(self.step).removeprefix("STEP_").lower()
        return fault_pb2.Fault(step=self.step, code=code, message=f"{name} {message}")


@dataclass(frozen=True)
class Stages:
    """The four steps, connected."""

    describe: Stage
    detect: Stage
    segment: Stage
    postprocess: Stage
    channels: list[grpc.Channel] = field(default_factory=list)

    @classmethod
    def connect(cls, addresses: Mapping[str, str]) -> Self:
        """Connect to the services at the given addresses, by step; a step left out is at its default port here."""
        channels = {step: open_channel(addresses.get(step) or f"localhost:{PORTS[step]}") for step in STEPS}
        return cls(
            describe=Stage(
                fault_pb2.STEP_DESCRIBE, describe_pb2_grpc.DescribeServiceStub(channels["describe"]).Describe
            ),
            detect=Stage(fault_pb2.STEP_DETECT, detect_pb2_grpc.DetectServiceStub(channels["detect"]).Detect),
            segment=Stage(fault_pb2.STEP_SEGMENT, segment_pb2_grpc.SegmentServiceStub(channels["segment"]).Segment),
            postprocess=Stage(
                fault_pb2.STEP_POSTPROCESS,
                postprocess_pb2_grpc.PostprocessServiceStub(channels["postprocess"]).Postprocess,
            ),
            channels=list(channels.values()),
        )

    def close(self) -> None:
        for channel in self.channels:
            channel.close()

"""The chain's steps as the orchestrator sees them: one object a step, with its stub, deadline and faults."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from orchestrator.cache import Cache, open_cache
from orchestrator.retry import Retry
from orchestrator.scope import Scope
from tensorhop import tracing
from tensorhop.channel import REQUEST_ID, Remote, from_error
from tensorhop.errors import ServiceFault
from tensorhop.security import Security
from tensorhop.settings import PORTS, limits
from tensorhop.shm import Pool, Slot
from tensorhop.v1 import (
    describe_pb2,
    detect_pb2,
    fault_pb2,
    info_pb2,
    model_pb2,
    pipeline_pb2,
    postprocess_pb2,
    segment_pb2,
)
from tensorhop.wire import Packet, readable

STEPS: dict[str, ServiceDescriptor] = {  # in the chain's order
    "describe": describe_pb2.DESCRIPTOR.services_by_name["DescribeService"],
    "detect": detect_pb2.DESCRIPTOR.services_by_name["DetectService"],
    "segment": segment_pb2.DESCRIPTOR.services_by_name["SegmentService"],
    "postprocess": postprocess_pb2.DESCRIPTOR.services_by_name["PostprocessService"],
}
MODEL_SECONDS = 1.0  # a service may be started again with another model
INFO_TIMEOUT = 1.0
OWN_WORD = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)  # no proxy's and no client's


class Stage:
    """One step: where it is, and what a failure of it is called."""

    def __init__(self, name: str, address: str, security: Security | None = None) -> None:
        self.name = name
        self.address = address
        self.transport = pipeline_pb2.TRANSPORT_UNSPECIFIED  # of the last call that succeeded
        self.step = getattr(fault_pb2, f"STEP_{name.upper()}")
        (self._method,) = (method.name for method in STEPS[name].methods)
        self._remote = Remote(address, STEPS[name], security)
        self.retry = Retry(self._remote.ready)
        self._model: model_pb2.Model | None = None
        self._model_until = 0.0

    def call(self, build: Callable[[bool], Packet], scope: Scope, **about: int) -> Packet:
        """The service's one answer; a call that fails for a moment is made again.

        Args:
            build: makes the request; its argument says whether tensors may go by shared memory.
            about: what the call's span says of it, as the object's index.

        Raises:
            ServiceFault: the call failed; the fault names this step.
        """

        def attempt() -> Packet:
            (answer,) = self._negotiate(
                build, scope, lambda method: method.future, lambda call: iter([call.result()]), about
            )
            return answer

        return self.retry.call(attempt, scope)

    def model(self) -> model_pb2.Model | None:
        """Which model the service runs, as it said within the last MODEL_SECONDS; None if it does not say."""
        if time.monotonic() >= self._model_until:
            try:
                info = self._remote.info(INFO_TIMEOUT)
                self._model = info.model if info.HasField("model") else None
            except grpc.RpcError:
                self._model = None
            self._model_until = time.monotonic() + MODEL_SECONDS
        return self._model

    def stream(self, build: Callable[[bool], Packet], scope: Scope) -> Iterator[Packet]:
        """The service's answers as they come, without a second attempt. Takes and raises what `call` does."""
        yield from self._negotiate(build, scope, lambda method: method, iter, {})

    def close(self) -> None:
        self._remote.close()

    def _negotiate(
        self,
        build: Callable[[bool], Packet],
        scope: Scope,
        kind: Callable[[Any], Any],
        answers: Callable[[Any], Any],
        about: Mapping[str, int],
    ) -> Iterator[Packet]:
        """By shared memory if there is some; a service that does not share it says so before any work."""
        packet = build(True)
        try:
            yield from self._run(packet, scope, kind, answers, about)
        except ServiceFault as error:
            refused = error.fault.code == fault_pb2.CODE_FAILED_PRECONDITION and "shared_memory" in error.fault.field
            if not packet.payloads.slots or not refused:
                raise
            yield from self._run(build(False), scope, kind, answers, about)

    def _run(
        self,
        packet: Packet,
        scope: Scope,
        kind: Callable[[Any], Any],
        answers: Callable[[Any], Any],
        about: Mapping[str, int],
    ) -> Iterator[Packet]:
        if scope.cancelled:
            raise ServiceFault(self._fault(fault_pb2.CODE_CANCELLED, "was not called; the request is cancelled"))
        timeout = scope.timeout()
        started = time.monotonic()
        start = kind(self._remote.method(self._method, packet))
        span = tracing.begin_client(self.name, scope.span, {f"tensorhop.{key}": value for key, value in about.items()})
        call = start(packet, timeout=timeout, metadata=[(REQUEST_ID, scope.request_id), *tracing.carried(span)])
        scope.enter(call)
        slots = packet.payloads.slots
        transport = pipeline_pb2.TRANSPORT_SHARED_MEMORY if slots else pipeline_pb2.TRANSPORT_MESSAGE
        for slot in slots:
            slot.enter()
        model = None
        try:
            for answer in map(readable, answers(call)):
                model = getattr(answer.message, "model", None)
                yield answer
            leave(slots)
            self.transport = transport
        except grpc.FutureCancelledError as error:
            raise ServiceFault(self._fault(fault_pb2.CODE_CANCELLED, "was cancelled")) from error
        except grpc.RpcError as error:
            if error.code() in OWN_WORD:
                leave(slots)
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                message = f"did not answer within {timeout:.3g} s"
                raise ServiceFault(self._fault(fault_pb2.CODE_DEADLINE_EXCEEDED, message)) from error
            if error.code() == grpc.StatusCode.CANCELLED and not scope.cancelled:  # we did not
                fault = self._fault(fault_pb2.CODE_UNAVAILABLE, "ended while it had not taken the call yet")
                fault.retryable = True
                raise ServiceFault(fault) from error
            raise from_error(error, self.step) from error
        finally:
            call.cancel()  # of no effect on a call that is over
            scope.leave(call, self.step, time.monotonic() - started, model, transport)
            if span is not None:
                tracing.end(span, call.code())

    def _fault(self, code: fault_pb2.Code, message: str) -> fault_pb2.Fault:
        return fault_pb2.Fault(step=self.step, code=code, message=f"{self.name} {message}")


def leave(slots: Sequence[Slot]) -> None:
    for slot in slots:
        slot.leave()


@dataclass(frozen=True)
class Stages:
    """The four steps, connected, and the slots that they share."""

    describe: Stage
    detect: Stage
    segment: Stage
    postprocess: Stage
    pool: Pool
    cache: Cache | None

    @classmethod
    def connect(cls, addresses: Mapping[str, str], security: Security | None = None) -> Self:
        """Connect to the services at the given addresses, by step; a step left out is at its default port here."""
        stages = {name: Stage(name, addresses.get(name) or f"localhost:{PORTS[name]}", security) for name in STEPS}
        cache = open_cache(limits().cache, limits().cache_bytes, limits().cache_seconds)
        return cls(**stages, pool=Pool(Path(limits().shm_dir), limits().shm_bytes), cache=cache)

    def upstreams(self) -> list[info_pb2.Upstream]:
        """The steps for InfoService, in the chain's order."""
        stages: list[Stage] = [getattr(self, name) for name in STEPS]
        return [info_pb2.Upstream(step=one.step, address=one.address, transport=one.transport) for one in stages]

    def close(self) -> None:
        for name in STEPS:
            getattr(self, name).close()
        self.pool.close()
        if self.cache:
            self.cache.close()

"""The steps of a chain: services that it calls, with their connections, deadlines, retries and faults."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from tensorhop.errors import ServiceFault, step_of
from tensorhop.observe import tracing
from tensorhop.orchestrator.chain.cache import Cache, open_cache
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.recording.store import Recordings
from tensorhop.ray_serve import is_ray
from tensorhop.rpc.registry import services
from tensorhop.rpc.replicas.replicas import Replicas
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security
from tensorhop.rpc.service import Service
from tensorhop.rpc.status import from_error
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import fault_pb2, info_pb2, model_pb2, pipeline_pb2
from tensorhop.wire.calls import code_of
from tensorhop.wire.codec import Packet, has_field, readable
from tensorhop.wire.shared_memory import Carrying, Pool

MODEL_SECONDS = 1.0  # a service may be started again with another model
MISSING_SECONDS = 1.0  # for which it is known which services can be called
INFO_TIMEOUT = 1.0
PROBLEM_TIMEOUT = 1.0

Build = Callable[[bool], Packet[Any]]  # makes a request; told whether its tensors may go by shared memory


def model_of(answer: Message) -> model_pb2.Model | None:
    """The model that an answer names; None if it names none."""
    names_one = has_field(answer.DESCRIPTOR, "model") and answer.HasField("model")
    return answer.model if names_one else None  # type: ignore[attr-defined]


class Step:
    """One service as a chain calls it.

    Args:
        service: which it is.
        address: where it is.
        security: TLS and token; what `settings` say if not given.
        settings: how large a message may be; this process's if not given.
    """

    def __init__(
        self, service: Service, address: str, security: Security | None = None, settings: Settings | None = None
    ) -> None:
        self.name, self.address = service.name, address
        self.transport = pipeline_pb2.TRANSPORT_UNSPECIFIED  # of the last call that succeeded
        self.remote = Replicas(address, service.descriptor, security, settings)
        self.retry = Retry(self.remote.ready)
        self._shares = not is_ray(address)  # a replica may be on any node
        self._model: model_pb2.Model | None = None
        self._model_until = 0.0

    def call(self, method: str, build: Build, scope: RequestScope, **about: int) -> Packet[Any]:
        """The one answer of a method; a call that fails for a moment is made again. Takes what `stream` does."""

        def attempt() -> Packet[Any]:
            packet = build(self._shares)
            try:
                return self._answer(method, packet, scope, about)
            except ServiceFault as error:
                if not refuses_slots(error, packet):
                    raise
            return self._answer(method, build(False), scope, about)

        return self.retry.call(attempt, scope)

    def stream(self, method: str, build: Build, scope: RequestScope, **about: int) -> Iterator[Packet[Any]]:
        """The answers of a method as they come, without a second attempt.

        Tensors go by shared memory if there is some; a service that does not share it says so before any work.

        Args:
            method: "Detect".
            build: makes the request.
            about: what the call's span says of it, such as the object's index.

        Raises:
            ServiceFault: the call failed; the fault names this service.
        """
        packet = build(self._shares)
        try:
            yield from self._answers(method, packet, scope, about)
        except ServiceFault as error:
            if not refuses_slots(error, packet):
                raise
            yield from self._answers(method, build(False), scope, about)

    def model(self) -> model_pb2.Model | None:
        """Which model the service runs, as it said within the last MODEL_SECONDS; None if it does not say."""
        if time.monotonic() >= self._model_until:
            try:
                info = self.remote.info(INFO_TIMEOUT)
                self._model = info.model if info.HasField("model") else None
            except grpc.RpcError:
                self._model = None
            self._model_until = time.monotonic() + MODEL_SECONDS
        return self._model

    def missing(self) -> str:
        """Why the service cannot be called now: "segment: nothing answers at localhost:50053; ..."; "" if it can."""
        problem = self.remote.problem(PROBLEM_TIMEOUT)
        return problem and f"{self.name}: {problem}"

    def close(self) -> None:
        self.remote.close()

    def _answer(self, method: str, packet: Packet[Any], scope: RequestScope, about: Mapping[str, int]) -> Packet[Any]:
        with StepCall(self, method, packet, scope, about) as call:
            (answer,) = call.answers
            return call.seen(readable(answer))

    def _answers(
        self, method: str, packet: Packet[Any], scope: RequestScope, about: Mapping[str, int]
    ) -> Iterator[Packet[Any]]:
        with StepCall(self, method, packet, scope, about) as call:
            for answer in call.answers:
                yield call.seen(readable(answer))

    def fault_of(self, error: grpc.RpcError, scope: RequestScope, timeout: float) -> fault_pb2.Fault:
        """Why a call failed that might take so many seconds."""
        code = code_of(error)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return self.fault(fault_pb2.CODE_DEADLINE_EXCEEDED, f"did not answer within {timeout:.3g} s")
        if code == grpc.StatusCode.CANCELLED and scope.cancelled:
            return self.fault(fault_pb2.CODE_CANCELLED, "was cancelled")
        if code == grpc.StatusCode.CANCELLED:  # we did not
            closed = "Channel closed" in str(error)
            why = "fell silent, and the call was ended" if closed else "ended while it had not taken the call yet"
            return self.fault(fault_pb2.CODE_UNAVAILABLE, why, retryable=True)
        return from_error(error, self.name, self.address).fault

    def fault(self, code: fault_pb2.Code, message: str, retryable: bool = False) -> fault_pb2.Fault:
        """A fault of this service that it did not tell itself."""
        return fault_pb2.Fault(
            service=self.name,
            step=step_of(self.name),
            code=code,
            message=f"{self.name} {message}",
            retryable=retryable,
        )


class StepCall:
    """The context of one call of a step: made on entry, and at the end out of the request's hands, timed and told.

    A class, because generators would cost a small call as much as its bytes.

    Args:
        step: whose service is called; the others as of `Step.stream`.
    """

    __slots__ = (
        "_about", "_carrying", "_method", "_model", "_noted", "_packet", "_scope", "_span", "_started", "_step",
        "_timeout", "answers",
    )  # fmt: skip

    def __init__(
        self, step: Step, method: str, packet: Packet[Any], scope: RequestScope, about: Mapping[str, int]
    ) -> None:
        self._step, self._method, self._packet, self._scope, self._about = step, method, packet, scope, about
        self._model: model_pb2.Model | None = None

    def __enter__(self) -> Self:
        """Raises ServiceFault: the request is cancelled."""
        step, scope = self._step, self._scope
        if scope.cancelled:
            raise ServiceFault(step.fault(fault_pb2.CODE_CANCELLED, "was not called; the request is cancelled"))
        self._timeout, self._started = scope.timeout(), time.monotonic()
        self._span = tracing.begin_client(step.name, scope.span, self._about)
        metadata = [*scope.metadata, *tracing.carried(self._span)]
        self.answers = step.remote.call(self._method, self._packet, timeout=self._timeout, metadata=metadata)
        scope.enter(self.answers)
        recorder = scope.recorder
        self._noted = recorder.begin(step.name, self._method, self._packet, self._about) if recorder else None
        self._carrying = Carrying(self._packet.payloads.slots)
        self._carrying.__enter__()
        return self

    def seen(self, answer: Packet[Any]) -> Packet[Any]:
        """An answer that has come."""
        self._model = model_of(answer.message)
        if self._noted and self._scope.recorder:
            self._scope.recorder.answer(self._noted, answer)
        return answer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Raises ServiceFault: the call failed."""
        step, scope, fault = self._step, self._scope, None
        self._carrying.__exit__(kind, error, trace)
        transport = pipeline_pb2.TRANSPORT_MESSAGE
        if self._packet.payloads.slots:
            transport = pipeline_pb2.TRANSPORT_SHARED_MEMORY
        if error is None:
            code, step.transport = grpc.StatusCode.OK, transport
        else:
            self.answers.cancel()  # of no effect on a call that is over
            code = grpc.StatusCode.CANCELLED  # it did not come to its end
            if isinstance(error, grpc.RpcError):
                code, fault = code_of(error), step.fault_of(error, scope, self._timeout)
        scope.leave(self.answers, step.name, time.monotonic() - self._started, self._model, transport)
        tracing.end(self._span, code)
        if self._noted and scope.recorder:
            scope.recorder.end(self._noted, code, fault)
        if fault:
            raise ServiceFault(fault) from error


def refuses_slots(error: ServiceFault, packet: Packet[Any]) -> bool:
    """Whether a service has said that it cannot open a request's slots."""
    refused = error.fault.code == fault_pb2.CODE_FAILED_PRECONDITION and "shared_memory" in error.fault.field
    return refused and bool(packet.payloads.slots)


class MissingSteps:
    """Which steps cannot be called. They are asked when somebody wants to know, and at most once a second."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps
        self._missing: dict[str, str] = {}
        self._until = 0.0
        self._lock = threading.Lock()  # who comes while the steps are asked waits for their answers

    def now(self) -> dict[str, str]:
        """By name, why a step cannot be called; "" of those that can."""
        with self._lock:
            if time.monotonic() >= self._until:
                with ThreadPoolExecutor(len(self._steps) or 1) as pool:  # one that hangs holds up no other
                    reasons = pool.map(Step.missing, self._steps.values())
                    self._missing = dict(zip(self._steps, reasons, strict=True))
                self._until = time.monotonic() + MISSING_SECONDS
            return self._missing


@dataclass(frozen=True)
class Steps(Mapping[str, Step]):
    """The steps of a chain by name, in its order, connected; and the shared memory and the cache that they use.

    `recordings` are where its requests are recorded; None if they are not.
    """

    steps: Mapping[str, Step]
    pool: Pool
    cache: Cache | None
    missing: "MissingSteps"
    recordings: Recordings | None = None

    @classmethod
    def connect(
        cls,
        chain: Service,
        addresses: Mapping[str, str],
        security: Security | None = None,
        settings: Settings | None = None,
    ) -> Self:
        """Connect to the services that a chain calls.

        Args:
            addresses: by name; one that is left out is at its default port on this machine.
            security: TLS and token; what `settings` say if not given.
            settings: of messages, shared memory and cache; this process's if not given.

        Raises:
            InvalidInput: a file of `security` cannot be used, or the cache is none.
        """
        known, settings = services(), settings or current_settings()
        steps = {
            name: Step(known[name], addresses.get(name) or f"localhost:{known[name].port}", security, settings)
            for name in chain.calls
        }
        cache = open_cache(settings.cache, settings.cache_bytes, settings.cache_seconds)
        recordings = Recordings.of(settings, chain.name, {name: step.address for name, step in steps.items()})
        return cls(steps, Pool.of(settings), cache, MissingSteps(steps), recordings)

    def __getitem__(self, name: str) -> Step:
        return self.steps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def upstreams(self) -> list[info_pb2.Upstream]:
        """The steps for InfoService, in the chain's order, and which of them cannot be called now."""
        missing = self.missing.now()
        return [
            info_pb2.Upstream(
                step=step_of(name),
                service=name,
                address=step.address,
                transport=step.transport,
                missing=missing[name],
            )
            for name, step in self.steps.items()
        ]

    def close(self) -> None:
        for step in self.steps.values():
            step.close()
        self.pool.close()
        if self.cache:
            self.cache.close()
        if self.recordings:
            self.recordings.close()

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
from tensorhop.request_id import REQUEST_ID
from tensorhop.rpc.fairness.callers import caller_metadata
from tensorhop.rpc.registry import services
from tensorhop.rpc.replicas.replicas import Replicas
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security
from tensorhop.rpc.service import Service
from tensorhop.rpc.status import from_error
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import fault_pb2, info_pb2, model_pb2, pipeline_pb2
from tensorhop.wire.calls import code_of
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.shared_memory import Carrying, Pool

MODEL_SECONDS = 1.0  # a service may be started again with another model
MISSING_SECONDS = 1.0  # for which it is known which services can be called
INFO_TIMEOUT = 1.0
PROBLEM_TIMEOUT = 1.0

Build = Callable[[bool], Packet[Any]]  # makes a request; told whether its tensors may go by shared memory


def model_of(answer: Message) -> model_pb2.Model | None:
    """The model that an answer names; None if it names none."""
    names_one = "model" in answer.DESCRIPTOR.fields_by_name and answer.HasField("model")
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
        self._remote = Replicas(address, service.descriptor, security, settings)
        self.retry = Retry(self._remote.ready)
        self._model: model_pb2.Model | None = None
        self._model_until = 0.0

    def call(self, method: str, build: Build, scope: RequestScope, **about: int) -> Packet[Any]:
        """The one answer of a method; a call that fails for a moment is made again. Takes what `stream` does."""

        def attempt() -> Packet[Any]:
            (answer,) = self.stream(method, build, scope, **about)
            return answer

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
        packet = build(True)
        try:
            yield from self._send(method, packet, scope, about)
        except ServiceFault as error:
            refused = error.fault.code == fault_pb2.CODE_FAILED_PRECONDITION and "shared_memory" in error.fault.field
            if not packet.payloads.slots or not refused:
                raise
            yield from self._send(method, build(False), scope, about)

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

    def missing(self) -> str:
        """Why the service cannot be called now: "segment: nothing answers at localhost:50053; ..."; "" if it can."""
        problem = self._remote.problem(PROBLEM_TIMEOUT)
        return problem and f"{self.name}: {problem}"

    def close(self) -> None:
        self._remote.close()

    def _send(
        self, method: str, packet: Packet[Any], scope: RequestScope, about: Mapping[str, int]
    ) -> Iterator[Packet[Any]]:
        if scope.cancelled:
            raise ServiceFault(self._fault(fault_pb2.CODE_CANCELLED, "was not called; the request is cancelled"))
        timeout, started = scope.timeout(), time.monotonic()
        span = tracing.begin_client(self.name, scope.span, about)
        metadata = [(REQUEST_ID, scope.request_id), *caller_metadata(scope.caller), *tracing.carried(span)]
        call = self._remote.method(method, packet)(packet, timeout=timeout, metadata=metadata)
        scope.enter(call)
        recorder, fault = scope.recorder, None
        noted = recorder.begin(self.name, method, packet, about) if recorder else None
        slots = packet.payloads.slots
        transport = pipeline_pb2.TRANSPORT_SHARED_MEMORY if slots else pipeline_pb2.TRANSPORT_MESSAGE
        model, code = None, grpc.StatusCode.CANCELLED  # unless it comes to its end
        try:
            with Carrying(slots):
                for answer in map(readable, call):
                    model = model_of(answer.message)
                    if recorder and noted:
                        recorder.answer(noted, answer)
                    yield answer
            code, self.transport = grpc.StatusCode.OK, transport
        except grpc.RpcError as error:
            code = code_of(error)
            fault = self._fault_of(error, scope, timeout)
            raise ServiceFault(fault) from error
        finally:
            call.cancel()  # of no effect on a call that is over
            scope.leave(call, self.name, time.monotonic() - started, model, transport)
            tracing.end(span, code)
            if recorder and noted:
                recorder.end(noted, code, fault)

    def _fault_of(self, error: grpc.RpcError, scope: RequestScope, timeout: float) -> fault_pb2.Fault:
        code = code_of(error)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return self._fault(fault_pb2.CODE_DEADLINE_EXCEEDED, f"did not answer within {timeout:.3g} s")
        if code == grpc.StatusCode.CANCELLED and scope.cancelled:
            return self._fault(fault_pb2.CODE_CANCELLED, "was cancelled")
        if code == grpc.StatusCode.CANCELLED:  # we did not
            closed = "Channel closed" in str(error)
            why = "fell silent, and the call was ended" if closed else "ended while it had not taken the call yet"
            return self._fault(fault_pb2.CODE_UNAVAILABLE, why, retryable=True)
        return from_error(error, self.name, self.address).fault

    def _fault(self, code: fault_pb2.Code, message: str, retryable: bool = False) -> fault_pb2.Fault:
        return fault_pb2.Fault(
            service=self.name,
            step=step_of(self.name),
            code=code,
            message=f"{self.name} {message}",
            retryable=retryable,
        )


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

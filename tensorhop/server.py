"""How every service runs: one gRPC server with health, reflection, limits, errors as statuses, and a clean end."""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tensorhop import telemetry
from tensorhop.address import check_free
from tensorhop.calls import CallInterceptor, around, behavior_of
from tensorhop.channel import INFO, REQUEST_ID, message_options, metadata_of, to_status
from tensorhop.errors import InvalidInput, fault_of
from tensorhop.guard import TokenInterceptor
from tensorhop.health import HealthServicer
from tensorhop.info import InfoServicer
from tensorhop.messages import Model
from tensorhop.security import Security, from_environment
from tensorhop.settings import limits
from tensorhop.source import EMBEDDED, Choice, find
from tensorhop.tally import Tally
from tensorhop.tokens import Tokens
from tensorhop.v1 import fault_pb2
from tensorhop.wire import handlers, readable

log = logging.getLogger(__name__)

Around = Callable[[], AbstractContextManager[None]]  # makes what goes around one call

EMBEDDED_CHOICE = Choice()
CONNECTIONS = [
    ("grpc.so_reuseport", 0),  # otherwise two servers share a port, unnoticed
    ("grpc.max_connection_age_ms", 30_000),  # then a client asks again which replicas there are; calls are not cut
    ("grpc.keepalive_time_ms", 10_000),  # a caller that lost the network is gone, and its work ends, within 20 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),  # clients make sure that a silent server lives
    ("grpc.http2.max_ping_strikes", 0),
    # Calls that wait for a thread to take or refuse them: beyond 1,000, gRPC cancels some without a reason.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
]
REFUSERS = 4  # threads beyond those that calls may take, to refuse further ones at once
GRACE_SECONDS = 10.0  # how long calls in flight may take to finish after the server was asked to stop


@dataclass(frozen=True)
class Service:
    """What `serve` needs to know about a service."""

    name: str  # as on the command line: "detect"
    descriptor: ServiceDescriptor
    servicer: Callable[..., Any]  # made from the model, if the service has one
    step: fault_pb2.Step = fault_pb2.STEP_UNSPECIFIED
    # By backend, where the class of its models is: "services.detect.embedded:EmbeddedDetector". A name, because
    # importing it imports the libraries that it runs on.
    models: Mapping[str, str] = field(default_factory=dict)

    def load(self, choice: Choice = EMBEDDED_CHOICE) -> Any:
        """Load the model, run it once, and make the servicer.

        Raises:
            InvalidInput: there is no such model, or it cannot be loaded.
        """
        return self.servicer(self.model(choice)) if self.models else self.servicer()

    def model(self, choice: Choice = EMBEDDED_CHOICE) -> Model:
        """The model, loaded and warm. Raises as `load` does."""
        started = time.monotonic()
        if choice.model == EMBEDDED:
            model = resolve_name(self.models[EMBEDDED])()
        else:
            source = find(self.name, choice, self.models)
            model = resolve_name(self.models[source.backend])(source)
        try:
            model.warm_up()
        except MemoryError as error:
            raise InvalidInput("--model", f"{choice.model} does not fit into memory: {error}") from error
        telemetry.model_loaded(self.name, model.name, time.monotonic() - started)
        return model


class Server:
    """A running service.

    Args:
        security: TLS, tokens, and what is open to everybody; what the environment says if not given.

    Raises:
        OSError: the address cannot be listened on.
        InvalidInput: a file of `security` cannot be used.
    """

    def __init__(self, service: Service, servicer: object, address: str, security: Security | None = None) -> None:
        security = from_environment() if security is None else security
        security.check()
        try:
            check_free(address)
        except OSError as error:
            raise OSError(f"{service.name} cannot listen on {address}: {error}") from error
        options = [*message_options(), *CONNECTIONS]
        most = limits().max_calls
        tally = Tally(most)
        workers = ThreadPoolExecutor(most + REFUSERS, thread_name_prefix=service.name)
        self.service = service
        interceptors: list[grpc.ServerInterceptor] = [CallInterceptor(service.name)]
        if security.token_file:
            interceptors.append(TokenInterceptor(Tokens(security.token_file), security, service.name, service.step))
        interceptors.append(FaultInterceptor(service.step, tally))
        self._server = grpc.server(workers, interceptors=interceptors, options=options)
        info = InfoServicer(service.name, servicer, tally)
        self._server.add_generic_rpc_handlers((handlers(service.descriptor, servicer), handlers(INFO, info)))
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (service.descriptor.full_name, INFO.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        if security.reflection:
            reflection.enable_server_reflection(names, self._server)
        credentials = security.server_credentials()
        security.warn_if_open(service.name, address)
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"{service.name} cannot listen on {address}; is it in use?") from error
        self.address = address if address.startswith("unix") else f"{address.rpartition(':')[0]}:{port}"
        self._server.start()
        for name in ("", service.descriptor.full_name):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float = GRACE_SECONDS) -> threading.Event:
        """Say NOT_SERVING, take no more calls, and let those in flight finish; the event is set when all is over."""
        self._health.enter_graceful_shutdown()
        self._health.end_watches()
        return self._server.stop(grace)


class Stoppable(Protocol):
    """A running server of any kind."""

    def stop(self) -> threading.Event:
        """Drain; the event is set when all is over."""


def run(servers: Sequence[Stoppable], ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once.

    `ready` tells the world that the servers are up; it is called when signals are already heard.
    """
    # The kernel may hand a signal to one of gRPC's threads. That does not wake the main thread from a lock, for which
    # Python's handler would then wait for ever; it does write to the wakeup socket.
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, frame: None)
    ready()
    while woken.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
        pass
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    for stopped in [server.stop() for server in servers]:
        stopped.wait()


class FaultInterceptor(grpc.ServerInterceptor):
    """Turns what a handler raises into a gRPC status with a Fault as detail, for streams too; refuses too many calls.

    Args:
        tally: of the calls, without those to health, info and the like, which have threads of their own.
    """

    def __init__(self, step: fault_pb2.Step, tally: Tally) -> None:
        self.step = step
        self._tally = tally
        self._wrapped: dict[str, grpc.RpcMethodHandler] = {}  # by method: gRPC asks again at each call

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        wrapped = self._wrapped.get(details.method)
        if wrapped is None:
            handler = continuation(details)
            if handler is None or not details.method.startswith("/tensorhop."):  # health and reflection
                return handler
            wrapped = self._wrapped[details.method] = self._wrap(handler)
        return wrapped

    def _wrap(self, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        behavior = behavior_of(handler)
        own_threads = hasattr(behavior, "experimental_thread_pool")
        call = nullcontext if own_threads else self._tally.call
        return around(handler, partial(self._unary if handler.unary_unary else self._stream, behavior, call))

    def _unary(self, behavior: Callable[..., Any], call: Around, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            with call():
                return behavior(readable(request), context)
        except Exception as error:
            self._abort(error, context)

    def _stream(
        self, behavior: Callable[..., Any], call: Around, request: Any, context: grpc.ServicerContext
    ) -> Iterator[Any]:
        try:
            with call():
                yield from behavior(readable(request), context)
        except Exception as error:
            self._abort(error, context)

    def _abort(self, error: Exception, context: grpc.ServicerContext) -> None:
        fault = fault_of(error, self.step)
        if fault.code == fault_pb2.CODE_INTERNAL:
            log.error("request %s failed", metadata_of(context).get(REQUEST_ID, "-"), exc_info=error)
        context.abort_with_status(to_status(fault))

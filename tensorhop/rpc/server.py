"""How every service runs: one gRPC server with health, reflection, limits, errors as statuses, and a clean end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tensorhop.address import check_free
from tensorhop.observe import metrics
from tensorhop.rpc.channel import INFO, message_options
from tensorhop.rpc.fairness.callers import caller_of
from tensorhop.rpc.fairness.shares import OVERSHOOT
from tensorhop.rpc.health import HEARTBEAT, HealthServicer
from tensorhop.rpc.info import InfoServicer
from tensorhop.rpc.interceptors.authentication import AuthenticationInterceptor
from tensorhop.rpc.interceptors.call_limit import CallLimit
from tensorhop.rpc.interceptors.faults import Faults
from tensorhop.rpc.interceptors.handlers import WrappingInterceptor
from tensorhop.rpc.interceptors.observation import Observation
from tensorhop.rpc.interceptors.stalls import StallWatch
from tensorhop.rpc.interceptors.transfers import Transfers
from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.oip.servicer import InferenceServicer
from tensorhop.rpc.oip.shared_memory import Regions
from tensorhop.rpc.security import Security
from tensorhop.rpc.service import Service
from tensorhop.rpc.tokens import Tokens
from tensorhop.settings import Settings, current_settings
from tensorhop.wire.codec import handlers

CONNECTIONS = [
    ("grpc.so_reuseport", 0),  # otherwise two servers share a port, unnoticed
    # A caller that lost the network is gone, and its work ends, within 30 s: the ping's bytes are not acknowledged, and
    # the kernel gives up (keepalive_timeout is its TCP_USER_TIMEOUT). The ping's own answer may wait for minutes behind
    # the bytes that are queued on a slow line.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 600_000),
    ("grpc.http2.max_pings_without_data", 0),  # also while a model takes its time
    ("grpc.http2.min_ping_interval_without_data_ms", 500),  # clients may make sure that a silent server lives
    ("grpc.http2.max_ping_strikes", 0),
    # Calls that wait for a thread to take or refuse them: beyond 1,000, gRPC cancels some without a reason.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
]
REFUSERS = 4  # threads beyond those that calls may take, to refuse further ones at once
GRACE_SECONDS = 10.0  # how long calls in flight may take to finish after the server was asked to stop


class Server:
    """A running service.

    Args:
        security: TLS, tokens, and what is open to everybody; what `settings` say if not given.
        settings: how many calls it works on at once, and how large a message may be; this process's if not given.

    Raises:
        OSError: the address cannot be listened on.
        InvalidInput: a file of `security` cannot be used.
    """

    def __init__(
        self,
        service: Service,
        servicer: object,
        address: str,
        security: Security | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or current_settings()
        security = security or Security.of(settings)
        security.check()
        try:
            check_free(address)
        except OSError as error:
            raise OSError(f"{service.name} cannot listen on {address}: {error}") from error
        options = [*message_options(settings), *CONNECTIONS]
        if settings.max_connection_seconds:
            options.append(("grpc.max_connection_age_ms", int(1000 * settings.max_connection_seconds)))
        most = settings.max_calls
        limit = CallLimit(most)
        # As many requests are received as worked on, and of both up to twice as many for a while.
        workers = ThreadPoolExecutor(2 * OVERSHOOT * most + REFUSERS, thread_name_prefix=service.name)
        self.service = service
        self._stalls = StallWatch(settings.max_stall_seconds)
        known = partial(caller_of, tokens=bool(security.token_file), certificates=security.require_client_cert)
        interceptors: list[grpc.ServerInterceptor] = [
            WrappingInterceptor(
                Faults(service.name, limit).wrap,
                Observation(service.name).wrap,
                Transfers(service.name, most, settings.max_message_bytes, self._stalls, known).wrap,
            )
        ]
        if security.token_file:
            interceptors.append(AuthenticationInterceptor(Tokens(security.token_file), security, service.name))
        self._server = grpc.server(workers, interceptors=interceptors, options=options)
        metrics.watch_calls(service.name, limit)
        # Without a queue, as a chain is, its capacity is the calls that it takes.
        metrics.watch_load(service.name, getattr(servicer, "batcher", None) or limit)
        info = InfoServicer(service.name, servicer, limit)
        self._health = HealthServicer(info.ready)
        regions = Regions(service.name, settings.oip_shm, tokens=bool(security.token_file))
        inference = InferenceServicer(service, servicer, info.ready, regions)
        self._server.add_generic_rpc_handlers(
            (handlers(service.descriptor, servicer), handlers(INFO, info), inference.handlers())
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (service.descriptor.full_name, INFO.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        if security.reflection:
            reflection.enable_server_reflection((*names, oip.SERVICE.full_name), self._server, pool=oip.BothPools())
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
        self._health.serve("", service.descriptor.full_name, HEARTBEAT)  # before a first caller could be told NOT_FOUND
        self._server.start()
        self._stalls.start()

    def stop(self, grace: float = GRACE_SECONDS) -> threading.Event:
        """Say NOT_SERVING, take no more calls, and let those in flight finish; the event is set when all is over."""
        self._health.enter_graceful_shutdown()
        self._health.end_watches()
        self._stalls.close()
        return self._server.stop(grace)

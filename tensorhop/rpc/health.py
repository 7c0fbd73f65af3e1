"""Health that answers while all workers wait for a model: liveness, readiness, and a heartbeat."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tensorhop.rpc.channel import info_of
from tensorhop.rpc.security import explain

# For calls that must be answered at any time; as many only because some may wait for a request that does not come.
WORKERS = ThreadPoolExecutor(32, thread_name_prefix="health")
# The name that says whether a server can do its work, and so wants traffic: NOT_SERVING while a service that it calls
# is missing. All other names say that the process lives: to restart it would not help, and calls that do not need
# what is missing still succeed.
READINESS = "readiness"
WATCH_SECONDS = 1.0  # between two looks while somebody watches readiness
HEARTBEAT = "heartbeat"  # the health name whose watchers are told the status again and again
BEAT_SECONDS = 0.3  # between two

STATUS = health_pb2.HealthCheckResponse


class HealthServicer(health.HealthServicer):  # type: ignore[misc]  # which has no types
    """The health service with threads of its own, because calls that wait for a model can occupy all workers.

    gRPC looks for the pool on the handler's function; the base class sets it for Watch alone. Who watches HEARTBEAT
    gets its status every BEAT_SECONDS, not only when it changes.

    Args:
        ready: whether all services that the server calls can be reached. It is asked when somebody asks for readiness,
            and once a second while somebody watches it; it must answer within seconds.
    """

    def __init__(self, ready: Callable[[], bool] = lambda: True) -> None:
        super().__init__(experimental_thread_pool=WORKERS)
        self._ready = ready
        self._looks = False  # whether a thread looks after readiness, for those who watch it
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def serve(self, *names: str) -> None:
        """Say SERVING under these names from now on, and answer for readiness."""
        for name in names:
            self.set(name, STATUS.SERVING)
        self.set(READINESS, STATUS.SERVING)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.service == READINESS:
            self._look()
        return super().Check(request, context)

    Check.experimental_thread_pool = WORKERS  # type: ignore[attr-defined]

    def Watch(self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None) -> Any:
        if request.service != READINESS:
            return super().Watch(request, context, send_response_callback)
        self._look()
        with self._lock:
            watcher = super().Watch(request, context, send_response_callback)
            if not self._looks:
                self._looks = True
                threading.Thread(target=self._keep_looking, name="readiness", daemon=True).start()
        return watcher

    def _look(self) -> None:
        """Ask whether the server is ready; who watches is told if that has changed."""
        status = STATUS.SERVING if self._ready() else STATUS.NOT_SERVING
        with self._lock:
            if self._server_status.get(READINESS) != status:
                self.set(READINESS, status)

    def _keep_looking(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            with self._lock:
                if self._gracefully_shutting_down or not self._send_response_callbacks.get(READINESS):
                    self._looks = False
                    return
            self._look()

    def _on_close_callback(self, send: Callable[[Any], None], service: str) -> Callable[[], object]:
        """The function that gRPC calls when a watcher leaves. It moves the work off gRPC's own thread.

        Watch holds the lock while it sends, and gRPC's thread completes sends. If that thread waited for the lock here,
        the whole server would deadlock.
        """
        close = super()._on_close_callback(send, service)

        def submit() -> None:
            with contextlib.suppress(RuntimeError):  # the process ends
                WORKERS.submit(close)

        return submit

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._lock:
                status = self._server_status.get(HEARTBEAT)
                for send in self._send_response_callbacks.get(HEARTBEAT, ()) if status is not None else ():
                    send(health_pb2.HealthCheckResponse(status=status))

    def end_watches(self) -> None:
        """End the streams of all watchers, which would otherwise delay the server's shutdown."""
        self._ended.set()
        with self._lock:
            watches = [send for sends in self._send_response_callbacks.values() for send in sends]
        for send in watches:
            send(None)


def why_not_ready(channel: grpc.Channel, timeout: float) -> str:
    """Why a server cannot do its work now, such as "segment: nothing answers at localhost:50053"; "" if it can.

    A server that has no such health, as an older one, is ready if it serves at all.

    Args:
        timeout: seconds for each of two calls.
    """
    try:
        status = _health(channel, READINESS, timeout)
        if status is None:
            status = _health(channel, "", timeout)
        if status == STATUS.SERVING:
            return ""
        missing = "; ".join(missing_of(channel, timeout).values())
        return missing or f"it is {STATUS.ServingStatus.Name(status or 0)}"
    except grpc.RpcError as error:
        details = error.details() or ""
        reason = explain(details)
        return reason if reason != details else f"it does not answer: {details or error.code().name}"


def missing_of(channel: grpc.Channel, timeout: float) -> dict[str, str]:
    """By name, why a service that a server calls cannot be called; without those that can. Raises grpc.RpcError."""
    return {one.service: one.missing for one in info_of(channel, timeout).upstreams if one.missing}


def _health(channel: grpc.Channel, name: str, timeout: float) -> int | None:
    """The status of a name; None if the server does not know it. Raises grpc.RpcError."""
    try:
        asked = health_pb2.HealthCheckRequest(service=name)
        return int(health_pb2_grpc.HealthStub(channel).Check(asked, timeout=timeout).status)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            return None
        raise

"""The health service, which answers even while all workers wait for a model, and a heartbeat that shows it lives."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

WORKERS = ThreadPoolExecutor(2, thread_name_prefix="health")  # for calls that must be answered at any time
HEARTBEAT = "heartbeat"  # the health name whose watchers are told the status again and again
BEAT_SECONDS = 0.3  # between two


class HealthServicer(health.HealthServicer):  # type: ignore[misc]  # which has no types
    """The health service with threads of its own, because calls that wait for a model can occupy all workers.

    gRPC looks for the pool on the handler's function. The base class sets it for Watch only. Watchers of HEARTBEAT get
    its status every BEAT_SECONDS, not only when it changes.
    """

    def __init__(self) -> None:
        super().__init__(experimental_thread_pool=WORKERS)
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        return super().Check(request, context)

    Check.experimental_thread_pool = WORKERS  # type: ignore[attr-defined]

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

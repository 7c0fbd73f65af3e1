"""Health that answers while all workers wait for a model."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health

WORKERS = ThreadPoolExecutor(2, thread_name_prefix="health")  # for calls that must be answered at any time


class HealthServicer(health.HealthServicer):  # type: ignore[misc]  # which has no types
    """Health with threads of its own: calls that wait for a model fill the workers, and it must answer all the same.

    gRPC looks for the pool on the handler's function; the base class sets it for Watch alone.
    """

    def __init__(self) -> None:
        super().__init__(experimental_thread_pool=WORKERS)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        return super().Check(request, context)

    Check.experimental_thread_pool = WORKERS  # type: ignore[attr-defined]

    def _on_close_callback(self, send: Callable[[Any], None], service: str) -> Callable[[], object]:
        """What to do when a watcher leaves: not on gRPC's own thread, which calls this.

        Watch holds the lock while it sends, and that same thread finishes sends: if it waited here for the lock, the
        whole server would stand still for good.
        """
        close = super()._on_close_callback(send, service)
        return lambda: WORKERS.submit(close)

    def end_watches(self) -> None:
        """End the streams of those who watch, who would otherwise hold up the server's end."""
        with self._lock:
            watches = [send for sends in self._send_response_callbacks.values() for send in sends]
        for send in watches:
            send(None)

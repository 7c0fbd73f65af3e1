"""PipelineClient: the whole chain, from any thread."""

from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from tensorhop.client.call import Call, check_timeout
from tensorhop.client.events import Event, read_event
from tensorhop.client.requests import process_request, takes
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security, client_security
from tensorhop.settings import Settings
from tensorhop.v1 import pipeline_pb2


class PipelineClient:
    """A connection to a pipeline, for any number of requests and threads at once.

        with PipelineClient() as client:
            for event in client.process("photo.jpg", max_objects=2):
                ...

    Args:
        endpoint: "host:port", "unix:/path" or any other name that gRPC resolves.
        security: TLS and token. Default: those in `settings`.
        settings: how large a message may be. Default: those in the TENSORHOP_... variables.
        retry: whether a request is made again that failed for a moment before its first event: the pipeline cannot be
            reached (for 5 s), or it is full and says when to come again (for 60 s).

    It can be pickled, and connects anew where it arrives. The values of its settings go along; files do not.

    Raises:
        InvalidInput: a file of `security` cannot be used, or there is a client certificate but no authority to trust.
    """

    def __init__(
        self,
        endpoint: str = "localhost:50050",
        *,
        security: Security | None = None,
        settings: Settings | None = None,
        retry: bool = True,
    ) -> None:
        service = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"]
        security, settings = client_security(security, settings)
        self._given = {"endpoint": endpoint, "security": security, "settings": settings, "retry": retry}
        self._remote = Remote(endpoint, service, security, settings)
        self._retry = Retry(self._remote.ready) if retry else None
        self._calls: WeakSet[Call[Event]] = WeakSet()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; requests in flight are cancelled."""
        for call in list(self._calls):
            call.close()
        self._remote.close()

    def __getstate__(self) -> dict[str, Any]:
        return self._given

    def __setstate__(self, given: dict[str, Any]) -> None:
        self.__init__(**given)  # type: ignore[misc]

    @takes(process_request)
    def process(self, *args: Any, **options: Any) -> Call[Event]:
        packet, timeout = process_request(*args, **options)
        call = Call(self._remote, "Process", packet, check_timeout(timeout), self._retry, read_event)
        self._calls.add(call)
        return call

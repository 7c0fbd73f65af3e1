"""ChainClient: what the clients of all chains have."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from weakref import WeakSet

from google.protobuf.descriptor import ServiceDescriptor

from tensorhop.client.call import Call, check_timeout
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security, client_security
from tensorhop.settings import Settings
from tensorhop.wire.codec import Packet

E = TypeVar("E")


class ChainClient(Generic[E]):
    """A connection to a chain, for any number of requests and threads at once.

    Args:
        endpoint, security, settings, retry: as of `PipelineClient`, and so are the errors.
        service: whose method is `Process`.
        read: makes an event of an answer.
    """

    def __init__(
        self,
        endpoint: str,
        service: ServiceDescriptor,
        read: Callable[[Packet[Any]], E],
        security: Security | None,
        settings: Settings | None,
        retry: bool,
    ) -> None:
        security, settings = client_security(security, settings)
        self._given = {"endpoint": endpoint, "security": security, "settings": settings, "retry": retry}
        self._remote = Remote(endpoint, service, security, settings)
        self._retry = Retry(self._remote.ready) if retry else None
        self._read = read
        self._calls: WeakSet[Call[E]] = WeakSet()

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

    def send(self, packet: Packet[Any], timeout: float | None = None) -> Call[E]:
        """Send a request that is a message already; `process` makes one from plain values."""
        call = Call(self._remote, "Process", packet, check_timeout(timeout), self._retry, self._read)
        self._calls.add(call)
        return call

"""AsyncChainClient: what the asynchronous clients of all chains have."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from google.protobuf.descriptor import ServiceDescriptor

from tensorhop.client.async_call import AsyncCall
from tensorhop.client.async_remote import AsyncRemote
from tensorhop.client.call import closed
from tensorhop.rpc.channel import target_of
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security, client_security
from tensorhop.settings import Settings
from tensorhop.wire.codec import Packet

E = TypeVar("E")


class AsyncChainClient(Generic[E]):
    """What `ChainClient` is to threads: a connection to a chain, for any number of tasks at once.

    It connects when it is first used, and in each event loop anew, so that it may be made outside of one. Files are
    read, and arrays encoded, in a thread.

    Args:
        endpoint, security, settings, retry: as of `PipelineClient`.
        service: whose method is `Process`.
        read: makes an event of an answer.

    Raises:
        InvalidInput: the endpoint is malformed, a file of `security` cannot be used, or there is a client certificate
            but no authority to trust.
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
        self._security, self._settings = client_security(security, settings)
        target_of(endpoint, self._security, self._settings)
        self._endpoint, self._method, self._read = endpoint, service.methods_by_name["Process"], read
        self._retry = Retry() if retry else None
        self._remotes: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRemote] = WeakKeyDictionary()
        self._calls: WeakSet[AsyncCall[E]] = WeakSet()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; requests in flight are cancelled."""
        self._closed = True
        for call in list(self._calls):
            await call.aclose()
        remote = self._remotes.pop(asyncio.get_running_loop(), None)
        if remote is not None:
            await remote.close()

    def _process(self, make: Callable[[], tuple[Packet[Any], float | None]]) -> AsyncCall[E]:
        call = AsyncCall(self._remote, make, self._retry, self._read)
        self._calls.add(call)
        return call

    def _remote(self) -> AsyncRemote:
        if self._closed:
            raise closed()
        loop = asyncio.get_running_loop()
        if loop not in self._remotes:
            self._remotes[loop] = AsyncRemote(self._endpoint, self._method, self._security, self._settings)
        return self._remotes[loop]

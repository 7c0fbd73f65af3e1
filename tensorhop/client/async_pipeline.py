"""AsyncPipelineClient: the whole chain, from asyncio."""

import asyncio
from functools import partial
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary, WeakSet

from tensorhop.client.async_call import AsyncCall
from tensorhop.client.async_remote import AsyncRemote
from tensorhop.client.call import closed
from tensorhop.client.events import Event, read_event
from tensorhop.client.requests import process_request, takes
from tensorhop.rpc.channel import target_of
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security, client_security
from tensorhop.settings import Settings
from tensorhop.v1 import pipeline_pb2

PATH = "/tensorhop.v1.PipelineService/Process"


class AsyncPipelineClient:
    """What `PipelineClient` is to threads: a connection to a pipeline, for any number of tasks at once.

        async with AsyncPipelineClient() as client:
            async for event in client.process("photo.jpg", max_objects=2):
                ...

    It connects when it is first used, and in each event loop anew, so that it may be made outside of one. Files are
    read, and arrays encoded, in a thread.

    Args:
        endpoint, security, settings, retry: as of `PipelineClient`.

    Raises:
        InvalidInput: the endpoint is malformed, a file of `security` cannot be used, or there is a client certificate
            but no authority to trust.
    """

    def __init__(
        self,
        endpoint: str = "localhost:50050",
        *,
        security: Security | None = None,
        settings: Settings | None = None,
        retry: bool = True,
    ) -> None:
        self._security, self._settings = client_security(security, settings)
        target_of(endpoint, self._security, self._settings)
        self._endpoint = endpoint
        self._retry = Retry() if retry else None
        self._remotes: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRemote] = WeakKeyDictionary()
        self._calls: WeakSet[AsyncCall[Event]] = WeakSet()
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

    @takes(process_request)
    def process(self, *args: Any, **options: Any) -> AsyncCall[Event]:
        call = AsyncCall(self._remote, partial(process_request, *args, **options), self._retry, read_event)
        self._calls.add(call)
        return call

    def _remote(self) -> AsyncRemote:
        if self._closed:
            raise closed()
        loop = asyncio.get_running_loop()
        if loop not in self._remotes:
            answer = pipeline_pb2.ProcessResponse
            self._remotes[loop] = AsyncRemote(self._endpoint, PATH, answer, self._security, self._settings)
        return self._remotes[loop]

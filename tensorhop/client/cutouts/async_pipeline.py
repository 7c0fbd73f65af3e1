"""AsyncPipelineClient: the whole chain, from asyncio."""

from functools import partial
from typing import Any

from tensorhop.client.async_call import AsyncCall
from tensorhop.client.async_chain_client import AsyncChainClient
from tensorhop.client.cutouts.events import Event, read_event
from tensorhop.client.cutouts.requests import process_request, takes
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.v1 import pipeline_pb2


class AsyncPipelineClient(AsyncChainClient[Event]):
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
        service = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"]
        super().__init__(endpoint, service, read_event, security, settings, retry)

    @takes(process_request)
    def process(self, *args: Any, **options: Any) -> AsyncCall[Event]:
        return self._process(partial(process_request, *args, **options))

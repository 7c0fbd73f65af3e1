"""AsyncViewsClient: the chain of views, from asyncio."""

from functools import partial
from typing import Any

from tensorhop.client.async_call import AsyncCall
from tensorhop.client.async_chain_client import AsyncChainClient
from tensorhop.client.cutouts.requests import takes
from tensorhop.client.views.events import ViewsEvent, read_event
from tensorhop.client.views.requests import views_request
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.v1 import views_pb2


class AsyncViewsClient(AsyncChainClient[ViewsEvent]):
    """What `ViewsClient` is to threads: a connection to the chain of views, for any number of tasks at once.

        async with AsyncViewsClient() as client:
            async for event in client.process("panorama.jpg", intervals=[1, 2]):
                ...

    Args:
        endpoint, security, settings, retry: as of `AsyncPipelineClient`, and so are the errors.
    """

    def __init__(
        self,
        endpoint: str = "localhost:50059",
        *,
        security: Security | None = None,
        settings: Settings | None = None,
        retry: bool = True,
    ) -> None:
        service = views_pb2.DESCRIPTOR.services_by_name["ViewsService"]
        super().__init__(endpoint, service, read_event, security, settings, retry)

    @takes(views_request)
    def process(self, *args: Any, **options: Any) -> AsyncCall[ViewsEvent]:
        return self._process(partial(views_request, *args, **options))

"""ViewsClient: the chain of views, from any thread."""

from typing import Any

from tensorhop.client.call import Call
from tensorhop.client.chain_client import ChainClient
from tensorhop.client.cutouts.requests import takes
from tensorhop.client.views.events import ViewsEvent, read_event
from tensorhop.client.views.requests import views_request
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.v1 import views_pb2


class ViewsClient(ChainClient[ViewsEvent]):
    """A connection to the chain of views, for any number of requests and threads at once.

        with ViewsClient() as client:
            for event in client.process("panorama.jpg", intervals=[1, 2]):
                ...

    Args:
        endpoint, security, settings, retry: as of `PipelineClient`, and so are the errors.
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
    def process(self, *args: Any, **options: Any) -> Call[ViewsEvent]:
        packet, timeout = views_request(*args, **options)
        return self.send(packet, timeout)

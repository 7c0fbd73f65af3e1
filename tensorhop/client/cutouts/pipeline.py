"""PipelineClient: the whole chain, from any thread."""

from typing import Any

from tensorhop.client.call import Call
from tensorhop.client.chain_client import ChainClient
from tensorhop.client.cutouts.events import Event, read_event
from tensorhop.client.cutouts.requests import process_request, takes
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.v1 import pipeline_pb2


class PipelineClient(ChainClient[Event]):
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
        super().__init__(endpoint, service, read_event, security, settings, retry)

    @takes(process_request)
    def process(self, *args: Any, **options: Any) -> Call[Event]:
        packet, timeout = process_request(*args, **options)
        return self.send(packet, timeout)

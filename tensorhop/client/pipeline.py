"""PipelineClient: the whole chain, from any thread."""

from types import TracebackType
from typing import Any, Self

import grpc

from tensorhop.client.events import Event, read_event
from tensorhop.client.requests import process_request, takes
from tensorhop.errors import InvalidInput
from tensorhop.observe import tracing
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.security import Security
from tensorhop.rpc.status import from_error
from tensorhop.settings import Settings, current_settings
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

    Raises:
        InvalidInput: a file of `security` cannot be used, or there is a client certificate but no authority to trust.
    """

    def __init__(
        self,
        endpoint: str = "localhost:50050",
        *,
        security: Security | None = None,
        settings: Settings | None = None,
    ) -> None:
        service = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"]
        settings = settings or current_settings()
        security = security or Security.of(settings)
        security.check_client()
        self._remote = Remote(endpoint, service, security, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; requests in flight are cancelled."""
        self._remote.close()

    @takes(process_request)
    def process(self, *args: Any, **options: Any) -> "Call":
        packet, timeout = process_request(*args, **options)
        return Call(self._remote.method("Process", packet)(packet, timeout=timeout, metadata=tracing.carried()))


class Call:
    """The events of one request, as they happen. If the caller stops early, the remaining work is cancelled."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Raises ServiceFault: the whole request failed, or was closed."""
        try:
            return read_event(next(self._call))
        except grpc.RpcError as error:
            raise from_error(error) from error
        except InvalidInput:
            self.close()
            raise

    def close(self) -> None:
        """Cancel the work that is still under way. Any thread may do so, also while another waits for an event."""
        self._call.cancel()

"""Services and chains in this process, each a server of its own."""

import contextlib
from collections.abc import Iterator, Mapping

from tensorhop.address import reachable
from tensorhop.errors import about
from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.jobs.service import SERVICE as JOBS
from tensorhop.orchestrator.launch.loading import Loading
from tensorhop.rpc.registry import services
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server

GRACE_SECONDS = 0.5


@contextlib.contextmanager
def one_process(
    listen: Mapping[str, str],
    choices: Mapping[str, ModelChoice] | None = None,
    grace: float = GRACE_SECONDS,
    security: Security | None = None,
    loading: Loading | None = None,
) -> Iterator[dict[str, Server]]:
    """Start servers in this process, by name, each on its address, and stop them at the end.

    A chain among them is connected to those of its services that are among them, and to the default ports of the
    others. HTTP is not served here: it is no gRPC server. Neither are jobs: they are kept beyond this context.

    Args:
        listen: an address each, by the service's name.
        choices: by service, which model it runs; the embedded one if it says nothing.
        grace: seconds that calls in flight get at the end; without any, gRPC tells every client of an error.
        security: of all servers and of the connections between them; what this process's settings say if not given.
        loading: what `begin_loading` has begun of the same choices; the others are loaded, and run once, here.

    Raises:
        InvalidInput: a model cannot be loaded.
        OSError: an address cannot be listened on.
    """
    servers: dict[str, Server] = {}
    wanted = [service for service in services().values() if service.name in listen and service is not JOBS]
    with contextlib.ExitStack() as stack:
        for service in sorted(wanted, key=lambda service: bool(service.calls)):  # chains last
            if service.calls:
                told = {name: reachable(servers[name].address) for name in service.calls if name in servers}
                steps = Steps.connect(service, told, security)
                stack.callback(steps.close)
                servicer = service.make_servicer(steps)
            elif loading and service.name in loading:
                servicer = loading[service.name].result()
            else:
                with about(service.name):
                    servicer = service.load((choices or {}).get(service.name))
            servers[service.name] = server = Server(service, servicer, listen[service.name], security)
            stack.callback(lambda server=server: server.stop(grace).wait())  # type: ignore[misc]
        yield servers

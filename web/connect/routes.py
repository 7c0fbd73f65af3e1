"""A route for each method of each registered service and chain, from their descriptors."""

from importlib.util import find_spec

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tensorhop.client.remotes import Remotes
from tensorhop.extras import install_command
from tensorhop.rpc.registry import services
from tensorhop.web.endpoint import REQUEST_ID, readable_id
from tensorhop.web.problem import Refused, problem
from tensorhop.web.requests.admission import Admission

# Headers that a page of an allowed origin may send, and may read.
SENT = ("Connect-Protocol-Version", "Connect-Timeout-Ms", "Grpc-Timeout", "X-Grpc-Web", "X-User-Agent")
READ = ("Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin")


def connect_routes(admission: Admission, remotes: Remotes) -> list[Route]:
    """POST /PACKAGE.SERVICE/METHOD. Without the library, each answers what to install."""
    if find_spec("connectrpc") is None:
        return [Route(path, missing, methods=["POST"]) for path in paths()]
    from tensorhop.web.connect.method import Method

    methods = [
        Method(admission, remotes, name, method)
        for name, service in services().items()
        for method in service.descriptor.methods
    ]
    return [Route(method.path, method, methods=["POST"]) for method in methods]


def paths() -> dict[str, str]:
    """Of all methods: the path, and what the service does."""
    return {
        f"/{service.descriptor.full_name}/{method.name}": service.summary
        for service in services().values()
        for method in service.descriptor.methods
    }


async def missing(request: Request) -> Response:
    message = f"methods over HTTP need connectrpc; install it with: {install_command('connect')}"
    return problem(Refused(501, "UNIMPLEMENTED", message), readable_id(request.headers.get(REQUEST_ID, "")))

"""The routes to single services and to the chain of views, new and old."""

from starlette.routing import Route

from tensorhop.client.remotes import Remotes
from tensorhop.web.requests.admission import Admission
from tensorhop.web.services.endpoint import ServiceEndpoint
from tensorhop.web.services.old_routes import OLD_ROUTES, OldEndpoint
from tensorhop.web.services.operations import OPERATIONS


def service_routes(admission: Admission, remotes: Remotes) -> list[Route]:
    """POST /NAME for each operation, /views, and the old names."""
    by_name = {one.name: one for one in OPERATIONS}
    endpoints = {
        **{name: ServiceEndpoint(admission, remotes, one) for name, one in by_name.items()},
        "views": ServiceEndpoint(admission, remotes, None),
        **{old.name: OldEndpoint(old, admission, remotes, by_name[old.operation]) for old in OLD_ROUTES},
    }
    return [Route(f"/{name}", endpoint, methods=["POST"]) for name, endpoint in endpoints.items()]

"""The application of one service: what `import_path: tensorhop_ray.application:build` in a Serve config names."""

from typing import Any

from ray import serve

from tensorhop.models.sources import ModelChoice
from tensorhop.rpc.channel import INFO
from tensorhop.rpc.registry import services
from tensorhop.rpc.service import Service
from tensorhop_ray.replica import Replica

FIELDS = ModelChoice.__dataclass_fields__


def build(args: dict[str, Any]) -> serve.Application:
    """An application that holds one service.

    Args:
        args: `service`, its name; `model`, `device` and the rest of what chooses a model (default: the embedded one);
            everything else is an option of Serve's deployment, such as `num_replicas`, `autoscaling_config`,
            `ray_actor_options` or `max_ongoing_requests`.

    Raises:
        ValueError: there is no such service, or it is a chain.
    """
    options = dict(args)
    name = options.pop("service", None)
    known = {one.name: one for one in services().values() if not one.calls}
    if name not in known:
        raise ValueError(f"service is {name!r}; it must be one of {', '.join(known)}")
    choice = ModelChoice(**{field: options.pop(field) for field in FIELDS if field in options})
    return application_of(known[name], choice, **options)


def application_of(service: Service, choice: ModelChoice | None = None, **options: Any) -> serve.Application:
    """An application that holds a service, also one that is not registered.

    Args:
        options: of Serve's deployment.
    """
    methods = {}
    for contract in (service.descriptor, INFO):
        for method in contract.methods:
            path = f"/{contract.full_name}/{method.name}"
            methods[method.name] = streamed(path) if method.server_streaming else single(path)
    kind = type(service.name, (Replica,), methods)
    return serve.deployment(kind, name=service.name, **options).bind(service, choice)


def single(path: str) -> Any:
    """A method of a deployment with one answer."""

    async def method(self: Replica, data: bytes, grpc_context: Any) -> Any:
        return await self.answer(path, data, grpc_context)

    return method


def streamed(path: str) -> Any:
    """A method of a deployment that streams its answers."""

    async def method(self: Replica, data: bytes, grpc_context: Any) -> Any:
        async for answer in self.answers(path, data, grpc_context):
            yield answer

    return method

"""The service registry: the services of this package and of installed packages, found without importing their code."""

import keyword
import re
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules

from tensorhop.rpc.service import Service

GROUP = "tensorhop.services"  # entry point group in which an installed package names its services
HOMES = ("tensorhop.services", "tensorhop.orchestrator")  # each folder in these with a service.py is a service or chain
FIRST = "pipeline"  # the chain that `tensorhop up` starts if it is told of none
HTTP, HTTP_PORT = "http", 8080  # the front that does not speak gRPC, and so is not a Service
NAME = re.compile("[a-z][a-z0-9_]*")  # a name is an option's, and an argument's of a function


class RegistryError(Exception):
    """Two services have the same name or port, or an installed package's service has a bad name or cannot be read."""


@cache
def services() -> dict[str, Service]:
    """All services and chains by name, in the order of their ports.

    Raises:
        RegistryError: two have the same name or port, a name is not lower-case letters, digits and "_", or an entry
            point does not name a Service of its own name.
    """
    found: dict[str, tuple[Service, str]] = {}
    ports: dict[int, str] = {HTTP_PORT: f"{HTTP} of tensorhop"}
    for service, origin in [*_built_in(), *_installed()]:
        label = f"{service.name} of {origin}"
        if not NAME.fullmatch(service.name) or keyword.iskeyword(service.name):
            raise RegistryError(
                f"a service of {origin} is named {service.name!r}; a name has lower-case letters, digits and _, begins "
                "with a letter, and is no keyword of Python"
            )
        if service.name == HTTP or service.name in found:
            other = found[service.name][1] if service.name in found else "tensorhop"
            raise RegistryError(f"two services are named {service.name}: one of {other}, one of {origin}")
        if service.port in ports:
            raise RegistryError(f"two services have port {service.port}: {ports[service.port]}, and {label}")
        found[service.name] = service, origin
        if service.port:
            ports[service.port] = label
    return {name: service for name, (service, _) in sorted(found.items(), key=lambda item: item[1][0].port)}


def models() -> dict[str, Service]:
    """The services that run a model, in the order of their ports."""
    return {name: service for name, service in services().items() if service.models}


def chains() -> dict[str, Service]:
    """The services that call others, in the order of their ports."""
    return {name: service for name, service in services().items() if service.calls}


def steps_of(chain: Service) -> dict[str, Service]:
    """The services that a chain calls, in its order."""
    return {name: services()[name] for name in chain.calls}


def ports() -> dict[str, int]:
    """The default ports by name, with HTTP: first the fronts and chains, then the services that they call."""
    ordered = sorted(services().values(), key=lambda service: (not service.calls, service.port))
    return {HTTP: HTTP_PORT} | {service.name: service.port for service in ordered}


def start_command(address: str) -> str:
    """The command that starts what has the port of an address: "tensorhop up --chain views"."""
    try:
        known = services()
    except RegistryError:  # the command says so
        return "tensorhop up"
    port = address.rpartition(":")[2]
    name = next((one.name for one in known.values() if one.port and str(one.port) == port), FIRST)
    chains = [chain for chain, one in known.items() if one.calls and name in (chain, *one.calls)]
    if FIRST in chains:
        return "tensorhop up"
    return f"tensorhop up --chain {chains[0]}" if chains else f"tensorhop serve {name}"


def _built_in() -> list[tuple[Service, str]]:
    found = []
    for home in HOMES:
        for module in iter_modules(import_module(home).__path__, f"{home}."):
            folder = Path(str(module.module_finder.path), module.name.rpartition(".")[2])  # type: ignore[union-attr]
            if module.ispkg and (folder / "service.py").is_file():
                found.append((import_module(f"{module.name}.service").SERVICE, "tensorhop"))
    return found


def _installed() -> list[tuple[Service, str]]:
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        origin = f"the package {point.dist.name}" if point.dist else "an installed package"
        try:
            service = point.load()
        except Exception as error:  # whatever another package's import raises
            raise RegistryError(f"the service {point.name} of {origin} cannot be imported: {error!r}") from error
        if not isinstance(service, Service) or service.name != point.name:
            raise RegistryError(f"{point.value} of {origin} is not a Service named {point.name!r}: {service!r:.200}")
        found.append((service, origin))
    return found

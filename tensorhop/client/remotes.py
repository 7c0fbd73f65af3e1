"""Remotes: the registered services at their addresses, each connected when it is first called."""

from collections.abc import Mapping

from tensorhop.errors import InvalidInput
from tensorhop.rpc.registry import services
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings


class Remotes:
    """Connections to registered services by name, for any number of threads. Each is made when it is first asked for.

    Args:
        addresses: by the service's name, such as {"segment": "gpu-1:50053"}. Default: its default port on this machine.
        security, settings: as of `Remote`.

    Raises:
        InvalidInput: an address is of no known service.
    """

    def __init__(
        self, addresses: Mapping[str, str], security: Security | None = None, settings: Settings | None = None
    ) -> None:
        if unknown := addresses.keys() - services().keys():
            raise InvalidInput("addresses", f"names {min(unknown)!r}; known are {', '.join(services())}")
        self._addresses = dict(addresses)
        self._security, self._settings = security, settings
        self._remotes: dict[str, Remote] = {}

    def __getitem__(self, name: str) -> Remote:
        """The connection to a service. Raises KeyError: it is not registered. InvalidInput: as `Remote` does."""
        if name not in self._remotes:
            service = services()[name]
            address = self._addresses.get(name) or f"localhost:{service.port}"
            made = Remote(address, service.descriptor, self._security, self._settings)
            if self._remotes.setdefault(name, made) is not made:  # another thread was quicker
                made.close()
        return self._remotes[name]

    def close(self) -> None:
        """Close the connections; calls in flight are cancelled."""
        for remote in list(self._remotes.values()):
            remote.close()

"""The servers behind one name: calls go to those in turn that live."""

import logging
import threading
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from tensorhop.address import name_of, targets
from tensorhop.errors import InvalidInput
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.replicas.replica import Replica
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import info_pb2
from tensorhop.wire.codec import Packet

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
RESOLVE_SECONDS = 5.0  # between two questions to DNS
FIRST_SECONDS = 1.0  # in which a server should be known to live or not; then one is called all the same


class Replicas:
    """A service as those call it that stand beside it: its replicas are watched, and a dead one is noticed in seconds.

    Connections are made when the first call is.

    Args:
        address: "host:port", which may resolve to several, "ipv4:HOST:PORT,HOST:PORT", "unix:/path" or any other name
            that gRPC resolves.
        security: TLS and token; what `settings` say if not given.
        settings: how large a message may be; this process's if not given.

    Raises:
        InvalidInput: the address is malformed, or a file of `security` cannot be used.
    """

    def __init__(
        self,
        address: str,
        service: ServiceDescriptor,
        security: Security | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._address, self._service = address, service
        self._settings = settings or current_settings()
        self._security = security or Security.of(self._settings)
        open_channel(address, self._security, self._settings).close()
        named = None if self._settings.use_proxy else name_of(address)  # a proxy resolves it itself
        self._authority = f"{named[0]}:{named[1]}" if named else ""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._replicas: dict[str, Replica] = {}  # by target
        self._retired: list[Replica] = []
        self._turn = 0
        self._started = False
        self._closed = threading.Event()

    def call(self, method: str, packet: Packet[Any], **more: Any) -> Any:
        """What `Remote.call` does, at the server whose turn it is."""
        while True:
            replica = self._next()
            remote = replica.remote
            try:
                return remote.call(method, packet, **more)
            except ValueError:
                if remote is replica.remote and not replica.drained:  # not because they were closed just now
                    raise

    def ready(self, timeout: float) -> bool:
        """Whether there is a server that may be called, within so many seconds."""
        self._start()
        with self._changed:
            return self._changed.wait_for(lambda: any(one.usable for one in self._replicas.values()), timeout)

    def problem(self, timeout: float) -> str:
        """Why no call can be made now, as `Remote.problem` says it; "" if one of the servers takes calls."""
        return self._next(0).remote.problem(timeout)

    def info(self, timeout: float) -> info_pb2.GetInfoResponse:
        """What one of the servers runs. Raises grpc.RpcError."""
        return self._next(0).remote.info(timeout)

    def close(self) -> None:
        """Calls under way end with CANCELLED."""
        with self._changed:
            self._closed.set()
            self._started = True
            every = [*self._replicas.values(), *self._retired]
        for one in every:
            one.close()

    def _next(self, step: int = 1) -> Replica:
        """The server whose turn it is; with a step of 0, out of turn. Raises ValueError: the connections are closed."""
        if self._closed.is_set():
            raise ValueError("the connections are closed")
        if not self._started:
            self._start()
        with self._lock:
            usable = [one for one in self._replicas.values() if one.usable]
            if usable:
                self._turn += step
                return usable[self._turn % len(usable)]

            def known() -> list[Replica] | None:
                """Those to choose from, as soon as that can be said."""
                every = list(self._replicas.values())
                usable = [one for one in every if one.usable]
                if usable or (every and all(one.usable is False for one in every)):
                    return usable or every
                return None

            chosen = self._changed.wait_for(known, FIRST_SECONDS) or list(self._replicas.values())
            if not chosen:  # DNS takes its time, or these connections were closed meanwhile
                self._take([self._address])
                chosen = list(self._replicas.values())
            if not chosen:
                raise ValueError("the connections are closed")
            self._turn += step
            return chosen[self._turn % len(chosen)]

    def _start(self) -> None:
        with self._changed:
            if self._started:
                return
            if not self._authority:
                self._take([self._address] if self._settings.use_proxy else targets(self._address))
            self._started = True
        for work in (self._look, self._resolve) if self._authority else (self._look,):
            threading.Thread(target=work, name=f"replicas of {self._address}", daemon=True).start()

    def _resolve(self) -> None:
        """Ask DNS again and again which servers there are."""
        while not self._closed.is_set():
            try:
                found = targets(self._address)
            except OSError:  # those that were known remain; if there are none, gRPC says why
                found = list(self._replicas) or [self._address]
            with self._changed:
                try:
                    self._take(found)
                except InvalidInput as error:
                    log.warning("the connections to %s stay as they were: %s", self._address, error)
                lively = any(one.usable for one in self._replicas.values())
            self._closed.wait(RESOLVE_SECONDS if lively else FIRST_SECONDS)

    def _take(self, found: list[str]) -> None:
        """Have a replica for each of these targets; the lock is held."""
        if self._closed.is_set():
            return
        for target in self._replicas.keys() - set(found):
            gone = self._replicas.pop(target)
            gone.retire()
            self._retired.append(gone)
        for target in found:
            if target not in self._replicas:
                authority = self._authority if target != self._address else ""
                self._replicas[target] = Replica(
                    target, self._service, self._security, self._settings, authority, self._changed
                )
        self._changed.notify_all()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with self._changed:
                self._retired = [one for one in self._retired if not one.drained]
                every = [*self._replicas.values(), *self._retired]
            for one in every:
                one.look()

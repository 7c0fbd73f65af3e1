"""One of the servers behind a name: its connections for calls, and one more on which its life is watched."""

import logging
import threading
import time
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2

from tensorhop.errors import InvalidInput
from tensorhop.ray_serve import health_check, is_ray
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.health import HEARTBEAT
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.wire.calls import code_of
from tensorhop.wire.codec import Packet, Stub, readable
from tensorhop.wire.payloads import Payloads

log = logging.getLogger(__name__)

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
SERVING = health_pb2.HealthCheckResponse.SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
SILENT_SECONDS = 1.2  # without a heartbeat, after which a server is asked for its life
ANSWER_SECONDS = 0.5  # in which it must then take a connection: together less than two
CHECK_SECONDS = 5.0  # between two looks at the health of a server without a heartbeat
CHECK_TIMEOUT = 4.0  # its workers may all be busy: no answer says nothing
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between attempts to connect
CLOSE_SECONDS = 1.0  # for which the end waits until the watching connection is closed
DRAIN_SECONDS = 150.0  # how long calls may go on to a server that takes no new ones; more than a step's timeout


class Replica:
    """A server that may get calls if it is `usable`: True or False, None as long as that is not known.

    A server of ours sends a heartbeat, on a connection that carries nothing else: bytes that are queued do not delay
    it, and since it is not asked for each time, neither does a line that is full the other way. When it stops, all
    calls to the server end. A server of others sends none: its health is asked for if it has one, and calls to it end
    by their deadline, or when TCP gives up.

    Args:
        target: the one address.
        authority: "host:port" that was resolved to it, if it was.
        changed: is notified when `usable` changes; its lock guards what changes here.
    """

    def __init__(
        self,
        target: str,
        service: ServiceDescriptor,
        security: Security,
        settings: Settings,
        authority: str,
        changed: threading.Condition,
    ) -> None:
        self.target = target
        self.usable: bool | None = None
        self._service, self._security, self._settings = service, security, settings
        self._authority, self._changed = authority, changed
        self._heard: float | None = None  # when the last heartbeat came; None while there is none to wait for
        self._closed = threading.Event()
        self._asked = threading.Event()  # to look at the health at once
        self._told = False
        self.remote = self._connected()
        self._old: list[tuple[float, Remote]] = []  # and when they may be closed
        self._watch_call: Any = None
        self._watcher = threading.Thread(target=self._run, name=f"watch {target}", daemon=True)
        self._watcher.start()

    def look(self) -> None:
        """End what has to end by now: to be called every tenth of a second."""
        now, heard = time.monotonic(), self._heard
        if heard is not None and now - heard > SILENT_SECONDS:
            self._heard = None
            threading.Thread(target=self._doubt, args=(heard,), name=f"doubt {self.target}", daemon=True).start()
        while self._old and self._old[0][0] < now:
            self._old.pop(0)[1].close()

    def retire(self) -> None:
        """Take no more calls, let those under way finish, and watch no longer. `look` closes the connections."""
        with self._changed:
            self._closed.set()
            self.usable = False
            self._old.append((time.monotonic() + DRAIN_SECONDS, self.remote))
        self._stop_watching()

    def close(self) -> None:
        """Calls under way end with CANCELLED."""
        self._closed.set()
        self._stop_watching()
        for remote in (self.remote, *(old for _, old in self._old)):
            remote.close()
        self._watcher.join(CLOSE_SECONDS)  # its connection is closed too, before a server of this process may be

    @property
    def drained(self) -> bool:
        """Whether a replica that was retired has no connection left."""
        return self._closed.is_set() and not self._old

    def _connected(self) -> Remote:
        return Remote(
            self.target, self._service, self._security, self._settings, authority=self._authority, in_turn=False
        )

    def _becomes(self, usable: bool) -> None:
        """Note a change."""
        with self._changed:
            if self._closed.is_set() or self.usable is usable:
                return
            if self.usable is False:
                self._renew()  # the old connections would wait for a second or more before they try again
            self.usable = usable
            self._changed.notify_all()

    def _renew(self) -> None:
        """Have new connections for further calls; the lock is held."""
        try:
            new = self._connected()
        except InvalidInput as error:  # a file of its security has gone
            log.warning("the connections to %s stay as they were: %s", self.target, error)
            return
        self._old.append((time.monotonic() + DRAIN_SECONDS, self.remote))
        self.remote = new

    def _doubt(self, heard: float) -> None:
        """What to do when no heartbeat comes. Python may stand still there, as in a library that holds its lock."""
        lives = self._takes_connections()
        with self._changed:
            if self._heard is not None or not self.usable:  # it has been heard since, or is known to be gone
                return
            if lives:
                self._heard = time.monotonic()
                return
            self.usable = False
            old = self.remote
            self._renew()
        seconds, where = time.monotonic() - heard, self._authority or self.target
        log.warning(
            "%s at %s has been silent for %.1f s; the calls to it are ended", self._service.name, where, seconds
        )
        self._stop_watching()
        old.close()

    def _stop_watching(self) -> None:
        """Not by closing the channel: gRPC crashes if a call is made on it meanwhile."""
        self._asked.set()
        if self._watch_call is not None:
            self._watch_call.cancel()

    def _takes_connections(self) -> bool:
        """Whether gRPC answers there, which needs no Python, and which a process that was stopped does not."""
        try:
            with self._opened() as channel:
                grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
        except (grpc.FutureTimeoutError, InvalidInput):
            return False
        return True

    def _opened(self) -> grpc.Channel:
        return open_channel(self.target, self._security, self._settings, authority=self._authority, in_turn=False)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            try:
                with self._opened() as channel:
                    self._watch(channel)
            except InvalidInput as error:  # a file of its security has gone
                log.debug("%s is not watched: %s", self.target, error)
            self._heard = None
            pause = FIRST_PAUSE if self.usable else min(LONGEST_PAUSE, 2 * pause)
            self._becomes(False)
            self._closed.wait(pause)

    def _watch(self, channel: grpc.Channel) -> None:
        """Follow what the server says of itself; returns when it is gone."""
        if not is_ray(self.target) and self._hear(channel):
            return
        check = health_check(channel, self.target)
        channel.subscribe(self._ask_at_once)
        while not self._closed.is_set():
            usable = self._ask(check)
            if usable is None:
                return
            self._becomes(usable)
            self._asked.wait(CHECK_SECONDS if usable else LONGEST_PAUSE)
            self._asked.clear()

    def _hear(self, channel: grpc.Channel) -> bool:
        """Follow the heartbeat; returns whether the server is gone, or else that it has none."""
        request = Packet(health_pb2.HealthCheckRequest(service=HEARTBEAT), Payloads())
        call = self._watch_call = Stub(channel, HEALTH).Watch(request)
        if self._closed.is_set():
            call.cancel()
        try:
            for answer in map(readable, call):
                if answer.message.status == UNKNOWN:
                    break
                self._heard = time.monotonic()
                self._becomes(answer.message.status == SERVING)
            else:
                return True
        except grpc.RpcError as error:
            if code_of(error) in GONE:
                return True
        finally:
            call.cancel()
        return False

    def _ask_at_once(self, state: grpc.ChannelConnectivity) -> None:
        if state is not grpc.ChannelConnectivity.READY:
            self._asked.set()

    def _ask(self, check: Any) -> bool | None:
        """Whether a server without a heartbeat can be called; None if there is none."""
        for name in (self._service.full_name, ""):
            try:
                answer = check(health_pb2.HealthCheckRequest(service=name), timeout=CHECK_TIMEOUT)
            except grpc.RpcError as error:
                if code_of(error) == grpc.StatusCode.NOT_FOUND:
                    continue
                if code_of(error) in GONE:
                    return None
                return True  # it has no health, keeps it for others, or is busy
            if not name and not self._told:
                self._told = True
                full = self._service.full_name
                log.warning("%s tells the health of %r only, not of %r; that is used", self.target, name, full)
            return bool(answer.status == SERVING)
        return True

"""Serves HTTP on an address, in a thread of its own, until it is stopped."""

import logging
import socket
import stat
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import uvicorn

from tensorhop.address import check_free, split
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import GRACE_SECONDS
from tensorhop.settings import Settings, current_settings
from tensorhop.web.app import Application
from tensorhop.web.connection import Connection

START_SECONDS = 30.0


class HttpServer:
    """A running HTTP server for a pipeline and for single services.

    Args:
        address: "host:port" or "unix:path"; port 0 takes a free one.
        pipeline: the address of the pipeline.
        origins: of pages that may call it, as "https://shop.example"; "*" for all.
        security: TLS and tokens, here and in calls to the pipeline; what `settings` say if not given.
        settings: how large and slow uploads may be, and how many requests are worked on at once; this process's if not
            given.
        services: the addresses of the others, by name; a service's default address if it is not among them.
        multipart: whether /process answers multipart/form-data to those who accept anything.

    Raises:
        InvalidInput: a file of `security` cannot be used, or an address is of no known service.
        OSError: the address cannot be listened on.
    """

    def __init__(
        self,
        address: str,
        pipeline: str,
        origins: Sequence[str] = (),
        security: Security | None = None,
        settings: Settings | None = None,
        services: Mapping[str, str] | None = None,
        multipart: bool = False,
    ) -> None:
        settings = settings or current_settings()
        security = security or Security.of(settings)
        context = security.https_context()
        security.warn_if_open("http", address)
        try:
            check_free(address)
            sockets, self.address = listen(address)
        except OSError as error:
            raise OSError(f"http cannot listen on {address}: {error}") from error
        self._application = Application(pipeline, services or {}, origins, security, settings, multipart)
        connection = partial(
            Connection,
            most_seconds=settings.max_upload_seconds,
            stall_seconds=min(settings.max_stall_seconds, settings.max_upload_seconds),
        )
        config = uvicorn.Config(
            self._application.app,
            http=connection,  # type: ignore[arg-type]  # uvicorn calls it
            ssl_context_factory=(lambda config, default: context) if context else None,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(GRACE_SECONDS),
        )
        self._server = uvicorn.Server(config)
        self._stopped = threading.Event()
        thread = threading.Thread(target=self._run, args=(sockets,), name="http", daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise OSError(f"http cannot listen on {address}")
            time.sleep(0.01)

    def _run(self, sockets: list[socket.socket]) -> None:
        try:
            self._server.run(sockets)
        finally:
            self._application.close()
            if self.address.startswith("unix:"):
                remove_stale(path_of(self.address))
            self._stopped.set()

    def stop(self, grace: float = GRACE_SECONDS) -> threading.Event:
        """Take no more requests, and let those in flight finish; the event is set when all is over."""
        self._server.config.timeout_graceful_shutdown = grace  # type: ignore[assignment]
        self._server.should_exit = True
        return self._stopped


def listen(address: str) -> tuple[list[socket.socket], str]:
    """Sockets that listen, and the address with its port. A name like localhost can have several."""
    if address.startswith("unix:"):
        one = socket.socket(socket.AF_UNIX)
        path = path_of(address)
        remove_stale(path)
        one.bind(path)
        return [one], address
    host, port = split(address)
    hosts = ("127.0.0.1", "::1") if host == "localhost" else (host.strip("[]"),)  # as gRPC takes it, whatever is known
    wanted = [entry for name in hosts for entry in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    found = []
    for family, kind, protocol, _, where in wanted:
        try:
            one = socket.socket(family, kind, protocol)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((where[0], port, *where[2:]))
        except OSError as error:  # no IPv6 here, say; check_free has seen to what matters
            logging.getLogger(__name__).debug("%s is left out: %s", where, error)
            continue
        port = one.getsockname()[1]
        found.append(one)
    if not found:
        raise OSError("none of its addresses can be had")
    return found, f"{host}:{port}"


def path_of(address: str) -> str:
    """The file of a unix socket."""
    return address.removeprefix("unix:").removeprefix("//")


def remove_stale(path: str) -> None:
    """The file of a server that has gone: of this one, or of one that check_free has asked in vain."""
    file = Path(path)
    if file.exists() and stat.S_ISSOCK(file.stat().st_mode):
        file.unlink()

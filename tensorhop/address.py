"""Addresses: where a service listens, and where to reach it: "host:port" or "unix:path"."""

import errno
import socket
from http.client import HTTPConnection
from pathlib import Path

EVERY_INTERFACE = ("0.0.0.0", "[::]")


def split(address: str) -> tuple[str, int]:
    """Host and port. Raises OSError: the address is not HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise OSError(f"{address!r} is not an address; it must be HOST:PORT, with a port from 0 to 65535, or unix:PATH")
    return host, int(port)


def check_free(address: str) -> None:
    """Make sure that a server can listen on all of an address.

    gRPC itself takes over a unix socket that another server uses, and needs only one of a host's several addresses to
    be free.

    Raises:
        OSError: the address is malformed, unknown, or in use.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//")
        if not Path(path).absolute().parent.is_dir():
            raise OSError(f"there is no folder {Path(path).parent}")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError("a server is running there")
        return
    host, port = split(address)
    hosts = ("127.0.0.1", "::1") if host == "localhost" else (host.strip("[]"),)  # gRPC always binds both
    found = [entry for name in hosts for entry in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    for family, kind, protocol, _, where in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(where)
        except OSError as error:
            if error.errno not in (
                errno.EAFNOSUPPORT,
                errno.EADDRNOTAVAIL,
            ):  # no IPv6 here; others may work
                raise OSError(error.strerror) from error


def reachable(address: str) -> str:
    """The address at which this machine reaches a server that listens on `address`: localhost for every interface."""
    if address.startswith("unix:"):
        return address
    host, port = split(address)
    return f"localhost:{port}" if host in EVERY_INTERFACE else address


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address."""
    host = address.rpartition(":")[0].strip("[]")
    return address.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")


def get(address: str, path: str, timeout: float) -> tuple[int, str]:
    """The status and the text that an HTTP server at "host:port" answers to a GET of a path.

    Args:
        timeout: seconds for each step of the connection.

    Raises:
        OSError, HTTPException: there is no answer, or not by HTTP.
    """
    connection = HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()

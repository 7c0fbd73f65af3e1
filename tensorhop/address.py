"""Where a service listens, and where to reach it: "host:port" or "unix:path"."""

import errno
import socket
from http.client import HTTPConnection
from pathlib import Path

EVERY_INTERFACE = ("0.0.0.0", "[::]")


def split(address: str) -> tuple[str, int]:
    """Host and port. Raises OSError: the address is not HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise OSError(f"{address!r} is no address; it is HOST:PORT, the port from 0 to 65535, or unix:PATH")
    return host, int(port)


def check_free(address: str) -> None:
    """Make sure that a server can have the whole of an address.

    gRPC itself takes over a unix socket from the server that has it, and is content if one of the host's several
    addresses is free.

    Raises:
        OSError: the address is malformed, unknown, or in use.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//")
        if not Path(path).absolute().parent.is_dir():
            raise OSError(f"there is no folder {Path(path).parent}")
        if Path(path).exists() and not Path(path).is_socket():
            raise OSError("it is a file and no socket, and would be replaced")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError("a server is running there")
        return
    host, port = split(address)
    hosts = ("127.0.0.1", "::1") if host == "localhost" else (host.strip("[]"),)  # as gRPC takes it, whatever is known
    found = [entry for name in hosts for entry in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    for family, kind, protocol, _, where in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(where)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # no IPv6 here; the others may do
                raise OSError(error.strerror) from error


def reachable(address: str) -> str:
    """Where to connect to what listens on an address: every interface means this machine's own."""
    if address.startswith("unix:"):
        return address
    host, port = split(address)
    return f"localhost:{port}" if host in EVERY_INTERFACE else address


def is_loopback(address: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    return address.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")


def get(address: str, path: str, timeout: float) -> tuple[int, str]:
    """Status and text of what an HTTP server answers at "host:port". Raises OSError, HTTPException."""
    connection = HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()

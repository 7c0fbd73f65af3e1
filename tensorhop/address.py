"""Addresses: where a service listens, and where to reach it: "host:port", "unix:path" or "ray://host:port/app"."""

import errno
import ipaddress
import socket
from http.client import HTTPConnection
from pathlib import Path

EVERY_INTERFACE = ("0.0.0.0", "[::]")
NAME_SCHEMES = ("dns:///", "dns:")  # of a name that DNS resolves
LIST_SCHEMES = ("ipv4:", "ipv6:")  # of several addresses, with commas between
RAY = "ray://"  # of an application behind Ray Serve's proxy


def split(address: str) -> tuple[str, int]:
    """Host, an IPv6 address in brackets, and port. Raises OSError: the address is not HOST:PORT."""
    check_brackets(address)
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]") and is_ipv6(host[1:-1])
    known = bracketed or (host and not set(host) & set(":[]"))
    if not known or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise OSError(f"{address!r} is not an address; it must be HOST:PORT, with a port from 0 to 65535, or unix:PATH")
    return host, int(port)


def split_ray(address: str) -> tuple[str, str]:
    """What gRPC is to reach, and the application of Ray Serve there: "ray://HOST:9000/APP" is "HOST:9000" and "APP".

    Every other address is itself, and "". Raises OSError: it begins with "ray://" and is not of that form.
    """
    if not address.startswith(RAY):
        return address, ""
    target, _, application = address.removeprefix(RAY).partition("/")
    if not target or not (application.isascii() and application.isprintable() and application.strip() == application):
        application = ""
    if not application:
        raise OSError(
            f"{address!r} is not an address of Ray Serve; it must be {RAY}HOST:PORT/APP, with an APP in ASCII"
        )
    if not target.startswith(LIST_SCHEMES):
        split(target)
    return target, application


def check_brackets(address: str) -> None:
    """Raises OSError: an IPv6 address without brackets, whose port would be taken for a part of it, or the reverse.

    Also raised for an address of Ray Serve that `split_ray` refuses.
    """
    bare, _ = split_ray(address)
    for scheme in NAME_SCHEMES:
        bare = bare.removeprefix(scheme)
    host, _, port = bare.rpartition(":")
    if is_ipv6(host) and port.isdecimal():
        raise OSError(f"{address!r} has an IPv6 address without brackets; write [{host}]:{port}")
    if is_ipv6(bare):
        raise OSError(f"{address!r} has an IPv6 address without brackets, and no port; write [{bare}]:PORT")


def is_ipv6(host: str) -> bool:
    """Whether it is an IPv6 address without brackets."""
    return ":" in host and "[" not in host and _ip(host) is not None


def with_port(host: str, port: int) -> str:
    """The address of a port at a host, whose name may be an IPv6 address with or without brackets."""
    return f"[{host}]:{port}" if is_ipv6(host) else f"{host}:{port}"


def targets(address: str) -> list[str]:
    """Each server that an address stands for, as gRPC targets. May take seconds: it asks DNS.

    "ipv4:10.0.0.1:50053,10.0.0.2:50053" lists them; a name, "segment:50053" or "dns:///segment:50053", may resolve to
    several. Everything else is one, for gRPC to resolve, and so is localhost, whose two addresses are one machine.

    Raises:
        OSError: the name cannot be resolved.
    """
    bare, application = split_ray(address)
    if application:
        return [f"{RAY}{one}/{application}" for one in targets(bare)]
    for scheme in LIST_SCHEMES:
        if address.startswith(scheme):
            return [scheme + one for one in address.removeprefix(scheme).split(",")]
    named = name_of(address)
    if named is None:
        return [address]
    host, port = named
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    hosts = dict.fromkeys((family, where[0]) for family, _, _, _, where in found)
    return [f"ipv6:[{ip}]:{port}" if family == socket.AF_INET6 else f"ipv4:{ip}:{port}" for family, ip in hosts]


def name_of(address: str) -> tuple[str, int] | None:
    """Host and port of an address whose host is a name that may resolve to several; None of every other."""
    address, _ = split_ray(address)
    for scheme in NAME_SCHEMES:
        address = address.removeprefix(scheme)
    try:
        host, port = split(address)
    except OSError:
        return None
    return None if host == "localhost" or "/" in host or _ip(host) is not None else (host, port)


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
        if Path(path).exists() and not Path(path).is_socket():
            raise OSError("it is a file and no socket, and would be replaced")
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
    """Whether an address, or each of several, can be reached from this machine alone."""
    address, _ = split_ray(address)
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in (*NAME_SCHEMES, *LIST_SCHEMES):
        address = address.removeprefix(scheme)
    hosts = [one.rpartition(":")[0] for one in address.split(",")]
    return all(host == "localhost" or ((ip := _ip(host)) is not None and ip.is_loopback) for host in hosts)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, with or without brackets; None if it is a name."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


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

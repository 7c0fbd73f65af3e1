"""Where webhooks may go: no address of this machine or of a private network, at submit and again at each connection."""

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from tensorhop.errors import InvalidInput

SECONDS = 15.0  # for each step of a request; Standard Webhooks has 15 to 30
LONGEST = 2000  # characters of a URL
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_url(url: str, allow_private: bool) -> SplitResult:
    """A webhook's URL, checked.

    Raises:
        InvalidInput: it is no http or https URL, its host has no address, or one that is not public.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput("webhook", f"is {url[:80]!r}; it must be an http:// or https:// URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > LONGEST or port == 0:
        raise InvalidInput("webhook", f"is {url[:80]!r}; it must be an http:// or https:// URL")
    if parts.username or parts.password or not url.isascii() or any(character <= " " for character in url):
        raise InvalidInput("webhook", f"is {url[:80]!r}; it must be ASCII, without a user and spaces")
    try:
        checked_addresses(parts, allow_private)
    except OSError as error:
        raise InvalidInput("webhook", f"is {url[:80]!r}: {error}") from error
    return parts


def checked_addresses(parts: SplitResult, allow_private: bool) -> list[str]:
    """The addresses of a URL's host, if all of them may be called.

    Raises:
        OSError: it has none, or one that is not public.
    """
    assert parts.hostname
    try:
        found = socket.getaddrinfo(parts.hostname, port_of(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OSError(f"its host has no address: {error}") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for one in addresses:
        if not allow_private and not is_public(one):
            raise PermissionError(
                f"its host has the address {one}, which is not public; --allow-private-webhooks allows it"
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, also where it stands inside an IPv6 address."""
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


def port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def post(parts: SplitResult, body: bytes, headers: Mapping[str, str], allow_private: bool) -> int:
    """The HTTP status that a URL answers to a POST. Redirects are not followed, and no proxy is used.

    Raises:
        OSError, HTTPException: it does not answer, or its host has an address now that may not be called.
    """
    addresses = checked_addresses(parts, allow_private)  # the name may mean another address than at submit
    connection = Pinned(parts, addresses)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


class Pinned(HTTPConnection):
    """A connection to addresses that were checked: the host's name is not resolved once more."""

    def __init__(self, parts: SplitResult, addresses: list[str]) -> None:
        assert parts.hostname
        super().__init__(parts.hostname, port_of(parts), timeout=SECONDS)
        self._parts, self._addresses = parts, addresses
        if parts.scheme == "https":
            self.default_port = HTTPSConnection.default_port

    def connect(self) -> None:
        assert self._parts.hostname
        made: Any = None
        for number, address in enumerate(self._addresses, 1):
            try:
                made = socket.create_connection((address, self.port), SECONDS)
                break
            except OSError:
                if number == len(self._addresses):
                    raise
        if self._parts.scheme == "https":
            made = ssl.create_default_context().wrap_socket(made, server_hostname=self._parts.hostname)
        self.sock = made

"""The proxy of the environment: whether a call passed it, and what to do if one failed there."""

import os
import re
import socket
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from tensorhop.address import is_loopback
from tensorhop.settings import current_settings

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")  # as gRPC reads them; the first that is set decides
PEER = re.compile(r"(?:ipv4|ipv6):(\S+:\d+)(?=: |$)")
UNREACHED = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
    "errors resolving",
)


def explain_proxy(details: str) -> str:
    """What to add to gRPC's words on a call that did not reach a server; "" if a proxy has nothing to do with it."""
    name = next((name for name in VARIABLES if os.environ.get(name)), "")
    if not name:
        return ""
    url = os.environ[name]
    peers = PEER.findall(details)
    if any(peer in _addresses(url) for peer in peers) or f"resolving {urlsplit(url).netloc}:" in details:
        shown = _without_password(url)
        return f"; this was the way by the proxy {shown} ({name}): set no_proxy for addresses that it does not reach"
    if not details.startswith(UNREACHED) or (peers and all(map(is_loopback, peers))) or current_settings().use_proxy:
        return ""
    return f"; no proxy was asked, although {name} is set: TENSORHOP_USE_PROXY=true has it asked"


@cache
def _addresses(url: str) -> frozenset[str]:
    """Where a proxy listens, as gRPC writes it: "10.0.0.1:3128", "[::1]:3128"."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return frozenset()
    every: list[Any] = [where for *_, where in found]
    return frozenset(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port, *_ in every)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

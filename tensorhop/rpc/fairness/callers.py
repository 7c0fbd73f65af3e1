"""Who calls: by token or certificate, address and connection; and for whom, if the caller is a front of ours."""

from contextvars import ContextVar
from functools import lru_cache
from hashlib import blake2b

import grpc

from tensorhop.request_id import text_of, usable

# From the coarse to the fine: ("token 5d1f...", "10.0.0.7", "10.0.0.7:41234"). Fairness holds at each level: between
# tokens, between the addresses that share one, and between the connections of an address.
Caller = tuple[str, ...]

# Metadata by which the HTTP server and the pipeline say for whom they call. Everybody may send it: it divides what the
# sender has, and gives nobody more.
CALLER = "x-tensorhop-caller"

_current: ContextVar[Caller] = ContextVar("caller", default=())


def current_caller() -> Caller:
    """Whom this thread works for; () if that is not known, as outside of a server."""
    return _current.get()


def use_caller(caller: Caller) -> None:
    """Work for this caller from now on, in this context."""
    _current.set(caller)


def caller_metadata(caller: Caller | None = None) -> list[tuple[str, str]]:
    """What tells the next server for whom a call is made; the current caller if none is given."""
    caller = current_caller() if caller is None else caller
    return [(CALLER, name_of(caller))] if caller else []


def caller_of(context: grpc.ServicerContext, tokens: bool = False, certificates: bool = False) -> Caller:
    """The caller of a gRPC call.

    Args:
        tokens: whether the call's token was checked; otherwise anybody could send one that nobody else has.
        certificates: whether the caller had to show a certificate.
    """
    peer = context.peer()
    named: list[str] = []
    if tokens:
        named.append(f"token {digest(text_of(context, 'authorization'))}")
    if certificates:
        identities = context.peer_identities() or ()
        named.append(f"certificate {digest(*(identity.decode(errors='replace') for identity in identities))}")
    host = peer.rpartition(":")[0] if peer.startswith("ip") else "unix"  # "ipv4:10.0.0.7:41234", "unix:"
    claimed = text_of(context, CALLER)
    return (*named, host, claimed if usable(claimed) else peer)


@lru_cache(maxsize=1024)  # every call behind a request tells it
def name_of(caller: Caller) -> str:
    """A short name for a caller."""
    return digest(*caller)


def digest(*parts: str) -> str:
    """A short name for secrets and addresses: 16 hexadecimal digits."""
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

"""Connections: the options that both ends of a call need, and what a server says about itself."""

import json
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import grpc
from grpc.experimental import ChannelOptions

from tensorhop.address import check_brackets, is_loopback, split_ray
from tensorhop.errors import InvalidInput
from tensorhop.ray_serve import application_metadata
from tensorhop.rpc.security import Security
from tensorhop.rpc.tokens import MetadataSender, Tokens
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import info_pb2
from tensorhop.wire.calls import make_channel
from tensorhop.wire.codec import Packet, Stub, readable
from tensorhop.wire.payloads import Payloads

log = logging.getLogger(__name__)

INFO = info_pb2.DESCRIPTOR.services_by_name["InfoService"]
# Answers are read by the thread that wants them, not by one more.
SINGLE_THREADED = (ChannelOptions.SingleThreadedUnaryStream, 1)
# What gRPC's own defaults leave out for minutes or for ever. A ping waits behind the bytes that are queued, on a slow
# line for minutes; and a stock server ends all calls of a client that pings more often than every five.
CONNECTION = [
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 60_000),  # the kernel's TCP_USER_TIMEOUT: no byte was acknowledged for so long
    ("grpc.http2.ping_timeout_ms", 600_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),  # how long one attempt may take, too
    ("grpc.max_reconnect_backoff_ms", 1000),
]
Metadata = Callable[[], list[tuple[str, str]]]
IN_TURN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def message_options(settings: Settings) -> list[tuple[str, Any]]:
    """gRPC's receive limit is 4 MiB by default, and each end has its own."""
    size = settings.max_message_bytes
    return [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]


def open_channel(
    address: str,
    security: Security | None = None,
    settings: Settings | None = None,
    *,
    certified: str = "",
    authority: str = "",
    in_turn: bool = True,
) -> grpc.Channel:
    """A connection to "host:port", "unix:/path", "ray://host:port/app" or any other name gRPC resolves.

    It is made when first used.

    A transfer that makes progress is never ended: a server that is silent is only noticed after minutes, and what waits
    for one needs a deadline.

    Args:
        security: TLS and token; what `settings` say if not given.
        settings: how large a message may be, and whether a proxy is passed; this process's if not given.
        certified: the name for which the server's certificate is, if not that in the address.
        authority: "host:port" that was resolved to this address, if it was.
        in_turn: whether the address may resolve to several servers, to be called in turn.

    Raises:
        InvalidInput: the address has an IPv6 address without brackets, or a file of `security` cannot be used.
    """
    settings = settings or current_settings()
    security = security or Security.of(settings)
    target = target_of(address, security, settings, certified, authority, in_turn)
    options, credentials = [*target.options, SINGLE_THREADED], target.credentials
    if credentials is None:
        channel = make_channel(lambda: grpc.insecure_channel(target.name, options))
    else:
        channel = make_channel(lambda: grpc.secure_channel(target.name, credentials, options))
    return grpc.intercept_channel(channel, MetadataSender(target.metadata)) if target.metadata else channel


def open_async_channel(
    address: str, security: Security, settings: Settings
) -> "tuple[grpc.aio.Channel, Metadata | None]":
    """The same for asyncio, in the loop that runs, with what tells the metadata that its calls shall carry.

    Raises:
        InvalidInput: as `open_channel`.
    """
    from grpc import aio

    target = target_of(address, security, settings)
    if target.credentials is None:
        return aio.insecure_channel(target.name, target.options), target.metadata
    return aio.secure_channel(target.name, target.credentials, target.options), target.metadata


class Target(NamedTuple):
    """What a connection is opened with."""

    name: str  # for gRPC to resolve
    credentials: grpc.ChannelCredentials | None
    options: list[tuple[str, int | str]]
    metadata: Metadata | None  # what every call carries, if anything


def target_of(
    address: str,
    security: Security,
    settings: Settings,
    certified: str = "",
    authority: str = "",
    in_turn: bool = True,
) -> Target:
    """What `open_channel` opens a connection with; takes and raises what it does, and opens none."""
    try:
        check_brackets(address)
        name, application = split_ray(address)[0], application_metadata(address)
    except OSError as error:
        raise InvalidInput("address", str(error)) from error
    # Without a pool of its own, a second channel to the same address would share the first one's connection.
    options: list[tuple[str, int | str]] = [
        *message_options(settings),
        *CONNECTION,
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if in_turn:
        options.append(("grpc.service_config", IN_TURN))
    if is_loopback(address) or not settings.use_proxy:  # a proxy cannot reach this machine's loopback
        options.append(("grpc.enable_http_proxy", 0))
    if authority:
        options.append(("grpc.default_authority", authority))
        certified = certified or authority.rpartition(":")[0]
    credentials = security.channel_credentials()
    if credentials is not None:
        if address.startswith("unix:"):
            certified = certified or "localhost"  # no certificate is for a path
        if certified:
            options.append(("grpc.ssl_target_name_override", certified))
    elif security.token_file and not is_loopback(address):
        _warn_of_plain_tokens(authority or address)
    tokens = Tokens(security.token_file) if security.token_file else None

    def metadata() -> list[tuple[str, str]]:
        return application + (tokens.metadata() if tokens else [])

    return Target(name, credentials, options, metadata if application or tokens else None)


@cache
def _warn_of_plain_tokens(address: str) -> None:
    """Once for each address: a service has several connections."""
    log.warning("tokens go to %s in plain text; --tls-ca encrypts the connection", address)


def info_of(channel: grpc.Channel, timeout: float) -> info_pb2.GetInfoResponse:
    """What the server runs, and how it fares. Raises grpc.RpcError."""
    (answer,) = Stub(channel, INFO).GetInfo(Packet(info_pb2.GetInfoRequest(), Payloads()), timeout=timeout)
    info: info_pb2.GetInfoResponse = readable(answer).message
    return info

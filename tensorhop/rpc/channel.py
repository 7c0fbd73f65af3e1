"""Connections: the options that both ends of a call need, and what a failed call says."""

import json
import logging
from functools import cache
from typing import Any

import grpc
from grpc.experimental import ChannelOptions

from tensorhop.address import is_loopback
from tensorhop.rpc.security import Security
from tensorhop.rpc.tokens import Tokens, TokenSender
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import info_pb2
from tensorhop.wire.calls import make_channel
from tensorhop.wire.codec import Packet, Stub, readable
from tensorhop.wire.payloads import Payloads

log = logging.getLogger(__name__)

INFO = info_pb2.DESCRIPTOR.services_by_name["InfoService"]
# What gRPC's own defaults leave out for minutes or for ever: a stopped peer, a name's new addresses.
# Answers are read by the thread that wants them, not by one more.
SINGLE_THREADED = (ChannelOptions.SingleThreadedUnaryStream, 1)
REPLICAS = [
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 1500),
    ("grpc.http2.ping_timeout_ms", 1500),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),  # how long one attempt may take, too
    ("grpc.max_reconnect_backoff_ms", 1000),
]


def message_options(settings: Settings) -> list[tuple[str, Any]]:
    """gRPC's receive limit is 4 MiB by default, and each end has its own."""
    size = settings.max_message_bytes
    return [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]


def open_channel(
    address: str, service: str = "", security: Security | None = None, settings: Settings | None = None
) -> grpc.Channel:
    """A connection to "host:port", "unix:/path" or any other name gRPC resolves; made when first used.

    Args:
        service: full name of a service that may have several replicas behind the address (dns:///segment:50053): calls
            go to those in turn whose health says SERVING; a dead one is noticed, and a new one found, within seconds.
        security: TLS and token; what `settings` say if not given. gRPC asks for health without a token: where health
            is not open, its answer is not looked at.
        settings: how large a message may be; this process's if not given.

    Raises:
        InvalidInput: a file of `security` cannot be used.
    """
    settings = settings or current_settings()
    security = security or Security.of(settings)
    # Without a pool of its own, a second channel to the same address would share the first one's connection.
    options: list[tuple[str, int | str]] = [
        *message_options(settings),
        ("grpc.use_local_subchannel_pool", 1),
        SINGLE_THREADED,
    ]
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))  # a proxy cannot reach this machine's loopback
    if service:
        config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
        if security.open_health:
            config["healthCheckConfig"] = {"serviceName": service}
        options += [("grpc.service_config", json.dumps(config)), *REPLICAS]
    credentials = security.channel_credentials()
    if credentials is None:
        channel = make_channel(lambda: grpc.insecure_channel(address, options))
    else:
        if address.startswith("unix:"):
            options.append(("grpc.ssl_target_name_override", "localhost"))  # no certificate is for a path
        channel = make_channel(lambda: grpc.secure_channel(address, credentials, options))
    if not security.token_file:
        return channel
    if credentials is None and not is_loopback(address):
        _warn_of_plain_tokens(address)
    return grpc.intercept_channel(channel, TokenSender(Tokens(security.token_file)))


@cache
def _warn_of_plain_tokens(address: str) -> None:
    """Once for each address: a service has several connections."""
    log.warning("tokens go to %s in plain text; --tls-ca encrypts the connection", address)


def info_of(channel: grpc.Channel, timeout: float) -> info_pb2.GetInfoResponse:
    """What the server runs, and how it fares. Raises grpc.RpcError."""
    (answer,) = Stub(channel, INFO).GetInfo(Packet(info_pb2.GetInfoRequest(), Payloads()), timeout=timeout)
    info: info_pb2.GetInfoResponse = readable(answer).message
    return info

"""Security of connections: TLS, client certificates, and which parts of a server need no token."""

import contextlib
import logging
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from urllib.parse import unquote

import grpc

from tensorhop.address import is_loopback
from tensorhop.errors import InvalidInput
from tensorhop.rpc.registry import start_command
from tensorhop.settings import Settings, current_settings

log = logging.getLogger(__name__)
T = TypeVar("T")

NO_HTTP2 = "speaks no HTTP/2, and so no gRPC"
# Words in gRPC's report of a failed connection, and what they mean. The first that match decide.
MEANINGS = (
    ("certificate has expired", "has a certificate that has expired"),
    ("certificate is not yet valid", "has a certificate that is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", "has a certificate that no authority in --tls-ca has signed"),
    ("Hostname Verification", "has a certificate for another name than the one that was called"),
    ("WRONG_VERSION_NUMBER", "speaks no TLS; connect without --tls-ca, or start it with --tls-cert and --tls-key"),
    (
        "Socket closed",
        "closed the connection at once: it wants TLS (--tls-ca), or a client certificate that it trusts "
        "(--tls-cert and --tls-key)",
    ),
    ("Failed parsing HTTP/2", f"{NO_HTTP2}: it may be a web server, or the port of `tensorhop serve http`"),
    ("health check call failed", "answers, but not to health checks; it may be a proxy that cannot reach its server"),
)
PEER = re.compile(r"(?:ipv4|ipv6|unix):\S+(?=: )")
# gRPC's words where nothing listens, and those where nothing has the name.
UNCONNECTED = ("failed to connect to all addresses", "connections to all backends failing")
NOBODY = re.compile(r"Connection refused|No such file or directory")
NO_NAME = re.compile(
    r"^(?:DNS resolution failed for|errors resolving) (\S+?):? .*(?:not found|not known|NXDOMAIN)", re.I
)
CALLED = re.compile(r"(?:(?:ipv4|ipv6):|(?=unix:))(\S+?)(?=: )")


@dataclass(frozen=True)
class Security:
    """How one side of a connection proves its identity, and what it requires of the other.

    All files are PEM, except for that of the tokens.

    Args:
        tls_cert, tls_key: this side's certificate chain and its key. A server that has them speaks TLS only; a client
            shows them to a server that asks.
        tls_ca: certificates of the authorities, one of which must have signed the other side's certificate. A client
            that has them speaks TLS only.
        require_client_cert: a server refuses clients without a certificate that `tls_ca` has signed.
        token_file: tokens, one a line. A server accepts calls with any of them; a client sends the first.
        open_health, open_reflection: whether health and reflection need no token.
        reflection: whether a server offers reflection.
    """

    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    require_client_cert: bool = False
    token_file: str = ""
    open_health: bool = True
    open_reflection: bool = False
    reflection: bool = True

    @classmethod
    def of(cls, settings: Settings | None = None) -> Self:
        """The security that settings state. Default: the settings of this process."""
        settings = settings or current_settings()
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})

    def check(self) -> None:
        """Raises InvalidInput: a file is missing or malformed, or an option needs another one."""
        for given, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if getattr(self, given) and not getattr(self, other):
                raise InvalidInput(_option(given), f"needs {_option(other)} beside it")
        if self.require_client_cert and not (self.tls_cert and self.tls_ca):
            raise InvalidInput("--require-client-cert", "needs --tls-cert, --tls-key and --tls-ca")
        self.pair()
        self.authorities()

    def check_client(self) -> None:
        """Raises InvalidInput: a certificate is given without `tls_ca`, so nothing would be encrypted."""
        if self.tls_cert and not self.tls_ca:
            raise InvalidInput("--tls-cert", "needs --tls-ca; without it the connection would be plain text")

    def pair(self) -> tuple[bytes, bytes] | None:
        """The key and the certificate chain, if given. Raises InvalidInput: unreadable, or they do not fit together."""
        if not self.tls_cert:
            return None
        key, chain = _read("tls_key", self.tls_key), _read("tls_cert", self.tls_cert)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"names {self.tls_key}, which is not the key of the certificate in {self.tls_cert}"
            else:
                message = f"and --tls-cert must be an unencrypted key and its certificates in PEM: {_reason(error)}"
            raise InvalidInput("--tls-key", message) from error
        return key, chain

    def authorities(self) -> bytes | None:
        """The certificates of `tls_ca`, if given. Raises InvalidInput: unreadable, or not certificates."""
        if not self.tls_ca:
            return None
        pem = _read("tls_ca", self.tls_ca)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode(errors="replace"))
        except (ssl.SSLError, ValueError) as error:
            raise InvalidInput("--tls-ca", f"names {self.tls_ca}, which holds no certificates in PEM") from error
        return pem

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """Credentials of a gRPC server; None for plain text. Changed files are used from the next connection on."""
        if not self.tls_cert:
            return None
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            _Renewal(self, self._configuration).fetch,  # type: ignore[arg-type]  # it may answer None
            require_client_authentication=self.require_client_cert,
        )

    def https_context(self) -> ssl.SSLContext | None:
        """The context of an HTTP server; None for plain text. Changed files are used from the next connection on."""
        if not self.tls_cert:
            return None
        renewal = _Renewal(self, self._https_context)
        first = latest = self._https_context()

        def renew(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            nonlocal latest
            connection.context = latest = renewal.fetch() or latest

        first.sni_callback = renew
        return first

    def _https_context(self) -> ssl.SSLContext:
        self.pair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        if self.require_client_cert:
            self.authorities()
            context.load_verify_locations(self.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Credentials of a gRPC client; None for plain text. Raises InvalidInput: a file cannot be used."""
        authorities = self.authorities()
        if authorities is None:
            return None
        key, chain = self.pair() or (None, None)
        return grpc.ssl_channel_credentials(authorities, key, chain)

    def pinned(self) -> Self:
        """For a client of this very server: it trusts the server's own certificate, and shows it if it is asked."""
        return replace(self, tls_ca=self.tls_cert)

    def own_name(self) -> str:
        """A name or address for which this side's certificate is. Raises InvalidInput."""
        pair = self.pair()
        assert pair is not None
        pem = pair[1].decode(errors="replace")
        names = certificate_names(pem, self.tls_cert, self.tls_key)
        return names[0].replace("*", "any", 1) if names else "localhost"

    def warn_if_open(self, service: str, address: str) -> None:
        """Log a warning if a server speaks plain text where other machines can reach it."""
        if not self.tls_cert and not is_loopback(address):
            log.warning("%s at %s is in plain text, and others can reach it; see --tls-cert", service, address)

    def stamp(self) -> tuple[object, ...]:
        """A value that changes when one of the files does."""
        return tuple(stamp_of(path) for path in (self.tls_cert, self.tls_key, self.tls_ca) if path)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = self.pair()
        assert pair is not None
        return grpc.ssl_server_certificate_configuration([pair], self.authorities())


def client_security(security: Security | None, settings: Settings | None) -> tuple[Security, Settings]:
    """What a client was given, or else what this process's settings say.

    Raises:
        InvalidInput: there is a client certificate, but no authority to trust.
    """
    settings = settings or current_settings()
    security = security or Security.of(settings)
    security.check_client()
    return security, settings


class _Renewal(Generic[T]):
    """Makes new credentials when the files have changed. A server asks for them at each connection."""

    def __init__(self, security: Security, make: Callable[[], T]) -> None:
        self._security, self._make, self._stamp = security, make, security.stamp()

    def fetch(self) -> T | None:
        stamp = self._security.stamp()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            made = self._make()
        except InvalidInput as error:  # such as while only one of the files is new
            log.warning("the certificate stays as it was: %s", error)
            return None
        log.info("the certificate in %s is used from now on", self._security.tls_cert)
        return made


def certificate_names(pem: str, cert: str, key: str) -> list[str]:
    """The names and addresses for which a certificate is, as a client reads them: a handshake within this process.

    Args:
        pem: the text of the file `cert`, which is trusted; `key` is its key's.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(cert, key, password="")
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=pem)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for end in ends * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    found: Any = ends[0].getpeercert() or {}
    names = [value for kind, value in found.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    return names or [value for part in found.get("subject", ()) for kind, value in part if kind == "commonName"]


def stamp_of(path: str) -> tuple[int, int, int] | None:
    """A value that changes when a file does; None if there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116  (at each call with a token: pathlib takes four times as long)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def explain(details: str, address: str = "") -> str:
    """gRPC's details of a failed call, in one plain sentence if there was no connection.

    Args:
        address: as it was named; if not given, it is taken from the details.
    """
    if details.startswith(UNCONNECTED):
        peer = PEER.search(details)
        for words, meaning in MEANINGS:
            if words in details:
                return f"the server at {peer[0] if peer else 'this address'} {meaning}"
    return unanswered(details, address) or details


def nothing_answers(address: str) -> str:
    """What every command and client says of an address at which nothing listens."""
    advice = f"start it with {start_command(address)}" if is_loopback(address) else "is it running?"
    return f"nothing answers at {address}; {advice}"


def unanswered(details: str, address: str = "") -> str:
    """gRPC's details of a failed call as a sentence, if nothing listens there, or the name is unknown; else "".

    Args:
        address: as it was named; if not given, it is taken from the details, and localhost stands for this machine.
    """
    if unknown := NO_NAME.search(details):
        return f"{address or unknown[1]} names no known host"
    if not details.startswith(UNCONNECTED) or not NOBODY.search(details):
        return ""
    if not address and (peer := CALLED.search(details)):
        address = re.sub(r"^(127\.0\.0\.1|\[::1\])(?=:\d+$)", "localhost", unquote(peer[1]))
    return nothing_answers(address or "the address")


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(_option(name), f"names {path}, which cannot be read: {error.strerror}") from error


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")

"""Tokens: a call brings one in its metadata, and the server has a file of those that it takes."""

import hmac
import logging
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from tensorhop.errors import InvalidInput
from tensorhop.rpc.security import stamp_of

log = logging.getLogger(__name__)

KEY = "authorization"
SCHEME = "Bearer "


class Tokens:
    """The tokens of a file, one a line; read again when the file changes.

    Raises:
        InvalidInput: the file cannot be read, holds none, or one that is not printable ASCII without spaces.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = stamp_of(path)
        self._tokens = read(path)
        if not self._tokens:
            raise InvalidInput("--token-file", f"names {path}, which holds no token")

    def now(self) -> list[bytes]:
        """Those in the file as it is. One that cannot be read leaves them as they were; an empty one lets nobody in."""
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._tokens = read(self._path)
            except InvalidInput as error:
                log.warning("the tokens stay as they were: %s", error)
        return self._tokens

    def take(self, header: str) -> bool:
        """Whether a header holds one of the tokens. How long this takes tells nothing about them."""
        given = header[len(SCHEME) :].strip().encode(errors="replace")
        found = False
        for token in self.now():
            found |= hmac.compare_digest(token, given)
        return found and header[: len(SCHEME)].lower() == SCHEME.lower()


def read(path: str) -> list[bytes]:
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise InvalidInput("--token-file", f"names {path}, which cannot be read: {error.strerror}") from error
    tokens = [line.strip() for line in lines if line.strip()]
    for number, token in enumerate(tokens, 1):
        if not all(0x21 <= byte <= 0x7E for byte in token):
            message = f"names {path}, whose token {number} is not of printable ASCII characters without spaces"
            raise InvalidInput("--token-file", message)
    return tokens


class CallDetails(NamedTuple):
    """gRPC's own class for this is private, and it wants one."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class TokenSender(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds the file's first token to every call."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def _with_token(self, details: Any) -> Any:
        metadata = list(details.metadata or ())
        tokens = self._tokens.now()
        if tokens:
            metadata.append((KEY, SCHEME + tokens[0].decode()))
        return CallDetails(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

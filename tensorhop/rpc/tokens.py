"""Tokens: a call carries one in its metadata, and the server accepts those in a file."""

import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from tensorhop.errors import InvalidInput
from tensorhop.rpc.security import stamp_of

log = logging.getLogger(__name__)

KEY = "authorization"
SCHEME = "Bearer "


class Tokens:
    """The tokens of a file, one a line. The file is read again when it changes.

    Raises:
        InvalidInput: the file cannot be read, is empty, or holds a token that is not printable ASCII without spaces.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = stamp_of(path)
        self._tokens = read(path)
        if not self._tokens:
            raise InvalidInput("--token-file", f"names {path}, which holds no token")

    def now(self) -> list[bytes]:
        """The tokens of the file as it is now. If it cannot be read, the former ones stay; if empty, there are none."""
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._tokens = read(self._path)
            except InvalidInput as error:
                log.warning("the tokens stay as they were: %s", error)
        return self._tokens

    def metadata(self) -> list[tuple[str, str]]:
        """What a call carries: the first token."""
        tokens = self.now()
        return [(KEY, SCHEME + tokens[0].decode())] if tokens else []

    def take(self, header: str) -> bool:
        """Whether a header holds one of the tokens. The time that this takes reveals nothing of them."""
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
    """The details of a call that gRPC expects from an interceptor. gRPC's own class for them is private."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class MetadataSender(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds metadata to every call, such as the file's first token.

    Args:
        metadata: what to add now.
    """

    def __init__(self, metadata: Callable[[], list[tuple[str, str]]]) -> None:
        self._metadata = metadata

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_metadata(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_metadata(details), request)

    def _with_metadata(self, details: Any) -> Any:
        metadata = [*(details.metadata or ()), *self._metadata()]
        return CallDetails(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

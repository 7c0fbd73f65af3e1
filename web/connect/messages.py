"""Messages as bytes: protobuf's own JSON or its binary form, read and written outside of the event loop.

The library's codecs would parse a request of 100 MB in the event loop, and keep everybody else waiting. The ones here
pass bytes on; `read` and `write` are called in the thread of the request.
"""

import re
import zlib
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import Message

from tensorhop.errors import InvalidInput
from tensorhop.web.requests.upload import read_members, too_large
from tensorhop.wire.codec import Packet, decode, encode

JSON, PROTO = "json", "proto"  # names of the codecs, as in application/json and application/proto
# How protobuf tells where in a message it stopped, and that there is no such field.
WITHIN = re.compile(r"(?:Failed to parse (\S+) field: )")
UNKNOWN = re.compile(r'has no field named "(.*?)" at "([^"]*)"\.\s+Available [^:]*: "\[(.*)\]"', re.DOTALL)


GZIP = 16 + zlib.MAX_WBITS  # as zlib names the format


class Encoded(NamedTuple):
    """A message in one of the two forms."""

    codec: str
    data: bytes
    zipped: bool = False  # whether the data is still compressed


class Zipped(bytes):
    """A message that is still compressed."""


class PassingGzip:
    """The library's compression for requests, which leaves the work to `read`. Answers are not compressed."""

    def name(self) -> str:
        return "gzip"

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        raise NotImplementedError("no answer is compressed: pictures are already")

    def decompress(self, data: bytes | bytearray | memoryview, read_max_bytes: int | None = None) -> bytes:
        return Zipped(data)


class PassingCodec:
    """One of the library's codecs, which leaves bytes as they are."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name

    def encode(self, message: bytes) -> bytes:
        return message

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> Encoded:
        return Encoded(self._name, bytes(data), isinstance(data, Zipped))


CODECS = [PassingCodec(JSON), PassingCodec(PROTO)]


def read(kind: type[Message], given: Encoded, most: int) -> Packet[Any]:
    """The message, for our own codec.

    Args:
        most: bytes that it may have when it is no longer compressed.

    Raises:
        InvalidInput: it is none of this kind; it names the field.
        Refused: it is too large.
    """
    data = unzip(given.data, most) if given.zipped else given.data
    if given.codec == PROTO:
        return decode(kind, data)
    message = kind()
    try:
        json_format.ParseDict(read_members(data), message)
    except json_format.ParseError as error:
        raise refusal(str(error), kind) from error
    return decode(kind, message.SerializeToString())


def unzip(data: bytes, most: int) -> bytes:
    """Raises InvalidInput: this is no gzip. Refused: what is in it has more bytes than `most`."""
    reader = zlib.decompressobj(GZIP)
    try:
        found = reader.decompress(data, most + 1)
    except zlib.error as error:
        raise InvalidInput("request", f"is no gzip: {error}") from error
    if len(found) > most:
        raise too_large(f"over {most:,}", most)
    if not reader.eof:
        raise InvalidInput("request", "is no gzip: its end is missing")
    return found


def write(packet: Packet[Any], codec: str) -> bytes:
    """A message of our own codec in one of the two forms; JSON in one line."""
    if codec == PROTO:
        return encode(packet)
    message = packet.message if packet.payloads.empty else type(packet.message).FromString(encode(packet))
    return json_format.MessageToJson(message, indent=None).encode()


def refusal(said: str, kind: type[Message]) -> InvalidInput:
    """What protobuf's JSON reader said, with the field's path in front."""
    if unknown := UNKNOWN.search(said):
        name, place, known = unknown.groups()
        inside = place.removeprefix(kind.DESCRIPTOR.name).removeprefix(".")
        field = f"{inside}.{name}" if inside else name
        return InvalidInput(field[:200], f"is no field; known are {known.replace(chr(39), '')[:500] or 'none'}")
    reason = WITHIN.sub("", said).rstrip(".")
    return InvalidInput(".".join(WITHIN.findall(said))[:200] or "request", f"cannot be read: {reason[:300]}")

"""Messages as bytes: protobuf's own JSON or its binary form, read and written outside of the event loop.

The library's codecs would parse a request of 100 MB in the event loop, and keep everybody else waiting. The ones here
pass bytes on; `read` and `write` are called in the thread of the request.
"""

import re
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import Message

from tensorhop.errors import InvalidInput
from tensorhop.web.requests.upload import read_members
from tensorhop.wire.codec import Packet, decode, encode

JSON, PROTO = "json", "proto"  # names of the codecs, as in application/json and application/proto
# How protobuf tells where in a message it stopped, and that there is no such field.
WITHIN = re.compile(r"(?:Failed to parse (\S+) field: )")
UNKNOWN = re.compile(r'has no field named "(.*?)" at "([^"]*)"\.\s+Available [^:]*: "\[(.*)\]"', re.DOTALL)


class Encoded(NamedTuple):
    """A message in one of the two forms."""

    codec: str
    data: bytes


class PassingCodec:
    """One of the library's codecs, which leaves bytes as they are."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name

    def encode(self, message: bytes) -> bytes:
        return message

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> Encoded:
        return Encoded(self._name, bytes(data))


CODECS = [PassingCodec(JSON), PassingCodec(PROTO)]


def read(kind: type[Message], given: Encoded) -> Packet[Any]:
    """The message, for our own codec. Raises InvalidInput: it is none of this kind; it names the field."""
    if given.codec == PROTO:
        return decode(kind, given.data)
    message = kind()
    try:
        json_format.ParseDict(read_members(given.data), message)
    except json_format.ParseError as error:
        raise refusal(str(error), kind) from error
    return decode(kind, message.SerializeToString())


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

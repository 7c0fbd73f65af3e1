"""Messages as protobuf's own JSON; in place of the content of a `bytes` field stands a reference to it."""

import base64
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tensorhop.v1 import tensor_pb2
from tensorhop.wire.codec import Packet, payload_fields
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import ATTACHMENTS

M = TypeVar("M", bound=Message)
Path = tuple[str | int, ...]  # of a field: ("detections", 0, "mask", "alpha", "data")
Reference = dict[str, Any]  # what stands in place of a content
Refer = Callable[[Message, Path, memoryview], Reference]  # makes it, of the message that has the field
Read = Callable[[bool, Reference], bytes]  # the content of a reference; told whether it is a tensor's


def detached(packet: Packet[M]) -> Packet[M]:
    """A copy of a packet that refers to nobody's slots and to no array that may change.

    Immutable bytes, such as those of a message that was received, are not copied. References to slots that are lent
    for an answer are left out.
    """
    message, payloads = type(packet.message)(), Payloads()
    message.CopyFrom(packet.message)
    if "lent" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("lent")
    for holder, name, _ in places(message):
        if isinstance(holder, tensor_pb2.Tensor) and holder.HasField("shared_memory"):
            content = ATTACHMENTS.view(holder.shared_memory, "shared_memory")
        else:
            content = packet.payloads.get(getattr(holder, name))
        keeps = isinstance(content.obj, bytes) and content.contiguous
        setattr(holder, name, payloads.keep(content if keeps else bytes(content)))
    return Packet(message, payloads)


def to_json(packet: Packet[Any], refer: Refer) -> dict[str, Any]:
    """A packet that `detached` has made, as JSON."""
    found: dict[str, Any] = MessageToDict(packet.message, preserving_proto_field_name=True)
    for holder, name, path in places(packet.message):
        inner: Any = found
        for step in path[:-1]:
            inner = inner[step]
        inner[name] = refer(holder, path, packet.payloads.get(getattr(holder, name)))
    return found


def from_json(kind: type[M], found: dict[str, Any], read: Read) -> Packet[M]:
    """The packet of what `to_json` has made.

    Raises:
        google.protobuf.json_format.ParseError: it is none of this kind.
    """
    payloads = Payloads()

    def fill(descriptor: Any, value: dict[str, Any]) -> dict[str, Any]:
        filled = {}
        for name, one in value.items():
            field = descriptor.fields_by_name.get(name)
            if field is not None and field.type == FieldDescriptor.TYPE_BYTES:
                content = read(descriptor.full_name == tensor_pb2.Tensor.DESCRIPTOR.full_name, one)
                one = base64.b64encode(payloads.keep(content)).decode()
            elif field is not None and field.message_type is not None and payload_fields(field.message_type):
                inner = GetMessageClass(field.message_type).DESCRIPTOR
                one = [fill(inner, each) for each in one] if isinstance(one, list) else fill(inner, one)
            filled[name] = one
        return filled

    return Packet(ParseDict(fill(kind.DESCRIPTOR, found), kind()), payloads)


def places(message: Message, path: Path = ()) -> Iterator[tuple[Message, str, Path]]:
    """Each `bytes` field that is set, also that of a tensor in a slot: its message, its name, and its path."""
    if isinstance(message, tensor_pb2.Tensor):
        if message.WhichOneof("content"):
            yield message, "data", (*path, "data")
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_BYTES:
            yield message, field.name, (*path, field.name)
        elif field.message_type is not None and payload_fields(field.message_type):
            if field.is_repeated:
                for index, one in enumerate(value):
                    yield from places(one, (*path, field.name, index))
            else:
                yield from places(value, (*path, field.name))

"""The codec of messages with tensors: a payload is copied once when it is sent, and not at all when it is received.

The bytes on the wire are the same as those of the generated classes. A payload (any `bytes` field) never goes through
the generated parser, which would copy it twice. In a `Packet`, the message holds a token in place of each payload, and
the payload lies beside it. A table of fields for each message type, made from its descriptor, says where payloads are.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from tensorhop.errors import InvalidInput
from tensorhop.observe import metrics
from tensorhop.wire.calls import Handle, Making, WrappedCall, unary_method
from tensorhop.wire.payloads import SMALL, Payloads

M = TypeVar("M", bound=Message)
T = TypeVar("T")
PAYLOAD = "payload"
PACKED = "packed"  # many numbers in one field, which stay in the message, and count as payload
PayloadFields = dict[int, Any]  # by field number: PAYLOAD, PACKED, or the PayloadFields of a message that can hold one

MAX_PACKED = 64 * 1024 * 1024  # bytes of a message's PACKED fields; once parsed, they take up to 8 times as much
MAX_REST = 256 * 1024  # bytes of a message beside its payloads; once parsed, they take up to 16 times as much memory
MAX_DEPTH = 64
ONE_BYTE = [bytes([number]) for number in range(0x80)]
VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)


UNGUARDED: Making = nullcontext()


class Packet(NamedTuple, Generic[M]):
    """A message whose `bytes` fields hold tokens, and the payloads that they stand for."""

    message: M
    payloads: Payloads


class Asked(Packet[M]):
    """A packet on its way out, with the handle of the call that is made for it."""

    handle: Handle


@cache
def has_field(kind: Descriptor, name: str) -> bool:
    """Whether messages of a type have a field of this name."""
    return name in kind.fields_by_name


@cache
def payload_fields(descriptor: Descriptor) -> PayloadFields:
    """The fields of a message type that can hold payloads. No type of the contract contains itself."""
    fields_held: PayloadFields = {}
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_BYTES:
            fields_held[field.number] = PAYLOAD
        elif field.message_type is not None and (inner := payload_fields(field.message_type)):
            fields_held[field.number] = inner
    return fields_held


class Stub:
    """The methods of a service on a channel, by name. Each takes a Packet and returns a call to iterate over.

    The call of a unary method has one answer: on the wire, unary calls and streams are the same. It blocks when it is
    iterated over, and any other thread can still cancel it; where a channel is wrapped, it is a stream of one answer.
    `open_channel` makes the caller's own thread read streams. In place of an answer that cannot be read comes an
    InvalidInput: gRPC would lose an exception in a deserializer.

    Args:
        making: around the making of each call.
    """

    def __init__(self, channel: grpc.Channel, service: ServiceDescriptor, making: Making = UNGUARDED) -> None:
        for method in service.methods:
            path, read = f"/{service.full_name}/{method.name}", reader(GetMessageClass(method.output_type))
            unary = None if method.server_streaming else unary_method(channel, path, send, read, making)
            setattr(self, method.name, unary or cancellable(channel.unary_stream(path, send, read), making))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the service has no method {name}")


def cancellable(method: Any, making: Making) -> Callable[..., Any]:
    """A channel's method whose calls all have `cancel`, also where instrumentation has replaced them."""

    def call(packet: Packet[Any], **more: Any) -> Any:
        asked = Asked(*packet)
        asked.handle = Handle()
        with making:
            answers = method(asked, **more)
        return answers if hasattr(answers, "cancel") else WrappedCall(answers, asked.handle)

    return call


def handlers(service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
    """The methods of a servicer as gRPC's handlers. Each takes a Packet and answers Packets.

    In place of a request that cannot be read comes an InvalidInput; the interceptor raises it.
    """
    methods = {}
    for method in service.methods:
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        read = reader(GetMessageClass(method.input_type))
        methods[method.name] = make(getattr(servicer, method.name), read, send)
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def reader(kind: type[M], fields_held: PayloadFields | None = None) -> Callable[[bytes], Packet[M] | InvalidInput]:
    """A deserializer for a type of messages: `decode`, which returns InvalidInput instead of raising it."""

    def read(data: bytes) -> Packet[M] | InvalidInput:
        try:
            return decode(kind, data, fields_held)
        except InvalidInput as error:
            return error

    return read


def readable(read: T | InvalidInput) -> T:
    """What was read, such as the packet of a `reader`. Raises InvalidInput: what stands in its place."""
    if isinstance(read, InvalidInput):
        raise read
    return read


# Out.


def send(packet: Packet[Any]) -> bytes:
    """The serializer of a call: `encode`, with its payloads counted in the metrics."""
    if packet.payloads.nbytes:
        metrics.sent_in_message(packet.payloads.nbytes)
    return encode(packet)


def encode(packet: Packet[Any]) -> bytes:
    """The bytes of a packet as one message. The join makes the only copy of each payload."""
    if packet.payloads.empty:
        return packet.message.SerializeToString()  # type: ignore[no-any-return]
    parts: list[Any] = []
    write(packet.message, payload_fields(packet.message.DESCRIPTOR), packet.payloads, parts)
    return b"".join(parts)


def write(message: Message, fields_held: PayloadFields, payloads: Payloads, parts: list[Any]) -> int:
    """Append a message to the parts, and return its length. Fields that can hold payloads come last."""
    fields = message.ListFields()
    held = [(field, value) for field, value in fields if field.number in fields_held]
    parts.append(rest_of(message, held, len(held) == len(fields), fields_held))
    length = len(parts[-1])
    for field, value in held:
        for one in value if field.is_repeated else (value,):
            place = len(parts)
            parts.append(b"")
            if fields_held[field.number] is PAYLOAD:
                buffer = payloads.get(one)
                parts.append(buffer)
                size = buffer.nbytes
            else:
                size = write(one, fields_held[field.number], payloads, parts)
            parts[place] = varint(field.number << 3 | LENGTH) + varint(size)
            length += len(parts[place]) + size
    return length


def rest_of(
    message: Message, held: list[tuple[FieldDescriptor, Any]], all_held: bool, fields_held: PayloadFields
) -> bytes:
    """The bytes of a message without the fields that can hold payloads."""
    if not held:
        return message.SerializeToString()
    known = not len(UnknownFieldSet(message))
    if known and all_held:
        return b""
    if known and len(held) == 1 and fields_held[held[0][0].number] is PAYLOAD:  # a tensor: its token is cut off
        field, token = held[0]
        whole, end = message.SerializeToString(), varint(field.number << 3 | LENGTH) + varint(len(token)) + token
        if whole.find(end) == len(whole) - len(end):  # it is at the end, and nowhere before
            return whole[: -len(end)]
    rest = type(message)()
    rest.CopyFrom(message)
    for field, _ in held:
        rest.ClearField(field.name)
    return rest.SerializeToString()


def varint(number: int) -> bytes:
    """A number as a varint: base-128 digits, the lowest first."""
    if number < 0x80:
        return ONE_BYTE[number]
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


# In.


def decode(kind: type[M], data: bytes, fields_held: PayloadFields | None = None) -> Packet[M]:
    """Read a message; its payloads are views of `data`.

    Args:
        fields_held: of the message, if not its `payload_fields`.

    Raises:
        InvalidInput: `data` is not a message of this kind, or more than MAX_REST bytes of it are not payload.
    """
    try:
        if len(data) <= SMALL:
            return Packet(kind.FromString(data), Payloads.inside())
        payloads = Payloads()
        if fields_held is None:
            fields_held = payload_fields(kind.DESCRIPTOR)
        rest = Reader(data, payloads).cut(0, len(data), fields_held, 0)
        return Packet(kind.FromString(rest), payloads)
    except (DecodeError, UnicodeDecodeError, Broken) as error:
        name = kind.DESCRIPTOR.full_name
        raise InvalidInput("request", f"is no {name}: {error or 'its bytes cannot be parsed'}") from error


class Broken(Exception):
    """The bytes are not a message."""


class Reader:
    """Cuts the payloads out of one message's bytes."""

    def __init__(self, data: bytes, payloads: Payloads) -> None:
        self.data = data
        self.view = memoryview(data)
        self.payloads = payloads
        self.left = MAX_REST
        self.left_packed = MAX_PACKED

    def cut(self, at: int, end: int, fields_held: PayloadFields, depth: int) -> bytes:
        """The message in data[at:end], with tokens in place of its payloads."""
        parts: list[Any] = []
        kept = at  # everything before this is in the parts
        while at < end:
            start = at
            tag = self.data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = self.varint(at, end)
            inner = fields_held.get(tag >> 3) if tag & 7 == LENGTH else None
            if inner is None:
                at = self.skip(tag, at, end, depth)
                self.spend(at - start)
                continue
            size, at = self.varint(at, end)
            stop = self.within(at + size, end)
            if inner is PACKED:
                at = stop
                self.left_packed -= size
                if self.left_packed < 0:
                    raise Broken(f"more than {MAX_PACKED:,} bytes of it are numbers in fields of their own")
                continue
            packed = self.left_packed
            if inner is PAYLOAD:
                piece = self.payloads.keep(self.view[at:stop])
            elif depth < MAX_DEPTH:
                piece = self.cut(at, stop, inner, depth + 1)
            else:
                raise Broken("its fields are nested too deep")
            self.spend(8 + len(piece) - (packed - self.left_packed))
            parts += (self.view[kept:start], varint(tag), varint(len(piece)), piece)
            kept = at = stop
        parts.append(self.view[kept:end])
        return b"".join(parts)

    def skip(self, tag: int, at: int, end: int, depth: int) -> int:
        """The end of the field whose tag has just been read."""
        kind = tag & 7
        if not tag >> 3:
            raise Broken("it has a field number 0")
        if kind == VARINT:
            return self.varint(at, end)[1]
        if kind == FIXED64:
            return self.within(at + 8, end)
        if kind == FIXED32:
            return self.within(at + 4, end)
        if kind == LENGTH:
            size, at = self.varint(at, end)
            return self.within(at + size, end)
        if kind == START_GROUP and depth < MAX_DEPTH:  # the contract has no groups, but unknown fields may be groups
            while True:
                self.spend(1)
                inner, at = self.varint(at, end)
                if inner & 7 == END_GROUP:
                    if inner >> 3 != tag >> 3:
                        raise Broken("a group ends that did not start")
                    return at
                at = self.skip(inner, at, end, depth + 1)
        raise Broken("it has a field of an unknown or too deeply nested kind")

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The number of at most 64 bits at a place, and the place after it."""
        number = shift = 0
        while at < end and shift < 70:
            digit = self.data[at]
            at += 1
            number |= (digit & 0x7F) << shift
            if digit < 0x80:
                return number, at
            shift += 7
        raise Broken("it ends within a field" if at >= end else "a number in it has more than 64 bits")

    def within(self, at: int, end: int) -> int:
        if at > end:
            raise Broken("it ends within a field")
        return at

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Broken(f"more than {MAX_REST:,} bytes of it are not payload")

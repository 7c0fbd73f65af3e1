"""The chains that jobs run: which takes a request, and what their events are."""

from typing import Any, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tensorhop.errors import InvalidInput
from tensorhop.rpc.registry import chains
from tensorhop.rpc.service import Service
from tensorhop.v1 import fault_pb2
from tensorhop.wire.codec import payload_fields

SUMMARY = "summary"  # the event that ends the stream of every chain
INTEGERS = {
    *(FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64),
    *(FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64),
}


class Method(NamedTuple):
    """The method of a chain that takes a job's request."""

    chain: Service
    descriptor: MethodDescriptor

    @property
    def request(self) -> type[Message]:
        return GetMessageClass(self.descriptor.input_type)

    @property
    def response(self) -> type[Message]:
        return GetMessageClass(self.descriptor.output_type)


def methods() -> list[Method]:
    """The method of each registered chain: that by which its client calls it, or the only one."""
    found = []
    for chain in chains().values():
        named = chain.descriptor.methods_by_name
        found.append(Method(chain, named.get("Process") or next(iter(named.values()))))
    return found


def method_of(type_url: str, chain: str = "") -> Method:
    """The method that takes a request of a type.

    Args:
        type_url: as an Any has it: "type.googleapis.com/tensorhop.v1.ProcessRequest".
        chain: the name of the chain, if the caller chose one.

    Raises:
        InvalidInput: no chain takes such a request, or not this one.
    """
    wanted = type_url.rpartition("/")[2]
    known = methods()
    if chain and chain not in (names := [one.chain.name for one in known]):
        raise InvalidInput("chain", f"is {chain[:80]!r}; known are {', '.join(dict.fromkeys(names))}")
    for one in known:
        if one.descriptor.input_type.full_name == wanted and chain in ("", one.chain.name):
            return one
    names = [one.descriptor.input_type.full_name for one in known if chain in ("", one.chain.name)]
    raise InvalidInput("request", f"is {'a ' + wanted[:80] if wanted else 'missing'}; known are {', '.join(names)}")


def method_of_chain(name: str) -> Method:
    """The method of a chain that jobs call. Raises InvalidInput: there is no such chain in this process."""
    for one in methods():
        if one.chain.name == name:
            return one
    raise InvalidInput("chain", f"is {name!r}, which this process does not know")


def repeatable(method: Method, request: Message, job: str) -> bytes:
    """What is added to the bytes of a request, so that a second attempt has the same events as the first.

    These are the job's id in place of a request id, and a seed where the chain would draw one by chance.
    """
    more = method.request()
    fields = method.descriptor.input_type.fields_by_name
    if "request_id" in fields and not getattr(request, "request_id"):  # noqa: B009  (mypy knows no such field)
        setattr(more, "request_id", job)  # noqa: B010
    if "seed" in fields and fields["seed"].has_presence and not request.HasField("seed"):
        setattr(more, "seed", int(job[-8:], 16))  # noqa: B010
    return more.SerializeToString()


class EventName(NamedTuple):
    """What an event is called."""

    name: str  # the field of the contract: "object"
    key: str  # the same for the same event of another attempt: "object-2"
    item: bool  # whether it ends an item: it has a picture, or a fault


def name_of(message: Any) -> EventName:
    """What an event of a chain is called: by its kind and the whole numbers in it, such as index or interval."""
    name = message.WhichOneof("event") or "event"
    event = getattr(message, name) if message.WhichOneof("event") else message
    if name == SUMMARY:
        return EventName(name, name, False)
    numbers, item = [], False
    held = payload_fields(event.DESCRIPTOR)
    for field in event.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        if field.cpp_type in INTEGERS:
            numbers.append(getattr(event, field.name))
        elif field.message_type is not None and event.HasField(field.name):
            item |= field.number in held or field.message_type is fault_pb2.Fault.DESCRIPTOR
            index = field.message_type.fields_by_name.get("index")
            if index is not None and index.cpp_type in INTEGERS:
                numbers.append(getattr(getattr(event, field.name), "index"))  # noqa: B009
    return EventName(name, "-".join([name, *map(str, numbers)]), item)


def without_pixels(message: Message) -> Message:
    """The message itself, after all fields that can hold pixels or files have been cleared."""
    _clear(message, payload_fields(message.DESCRIPTOR))
    return message


def _clear(message: Message, held: Any) -> None:
    for field, value in message.ListFields():
        inner = held.get(field.number)
        if inner is None:
            continue
        if not isinstance(inner, dict):
            message.ClearField(field.name)
            continue
        for one in value if field.is_repeated else (value,):
            _clear(one, inner)


def packed(message: Message) -> AnyMessage:
    """A message in an Any."""
    made = AnyMessage()
    made.Pack(message)
    return made

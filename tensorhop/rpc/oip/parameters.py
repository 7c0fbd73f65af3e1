"""A request's options as parameters of the Open Inference Protocol, by their paths, such as "finish.shadow.rot"."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tensorhop.errors import InvalidInput
from tensorhop.v1 import image_pb2

WHOLE = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)
FRACTIONS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def options_of(descriptor: Descriptor, prefix: str = "") -> Iterator[str]:
    """The paths of all fields that hold one number, text or choice, at any depth. Pictures are left out."""
    for field in descriptor.fields:
        if field.is_repeated or field.message_type == image_pb2.Image.DESCRIPTOR:
            continue
        if field.message_type is not None:
            yield from options_of(field.message_type, f"{prefix}{field.name}.")
        elif field.type != FieldDescriptor.TYPE_BYTES:
            yield prefix + field.name


def read_parameters(parameters: Mapping[str, Any], known: Mapping[str, None], request: Message) -> None:
    """Set the options that parameters name. Raises InvalidInput: there is no such option, or its value does not fit."""
    for path, parameter in parameters.items():
        if path not in known:
            raise InvalidInput(
                f"parameters[{path:.80}]", f"is no parameter of this model; known are {', '.join(known) or 'none'}"
            )
        *outer, name = path.split(".")
        message = request
        for one in outer:
            message = getattr(message, one)
        field: Any = message.DESCRIPTOR.fields_by_name[name]
        try:
            setattr(message, name, value_of(field, parameter, path))
        except ValueError as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(path, f"does not fit: {error}") from error


def value_of(field: FieldDescriptor, parameter: Any, path: str) -> Any:
    """What a parameter says, as its field takes it. Raises InvalidInput: it is of another kind."""
    kind = parameter.WhichOneof("parameter_choice")
    value = getattr(parameter, kind) if kind else None
    cpp = field.cpp_type
    if cpp == FieldDescriptor.CPPTYPE_ENUM and isinstance(value, str):
        return choice_of(field, value, path)
    if cpp == FieldDescriptor.CPPTYPE_STRING and isinstance(value, str):
        return value
    if cpp == FieldDescriptor.CPPTYPE_BOOL and isinstance(value, bool):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (cpp in FRACTIONS or (cpp in WHOLE and isinstance(value, int))):
        return value
    if cpp in FRACTIONS and isinstance(value, str):  # many clients have no parameters with a fraction
        try:
            return float(value)
        except ValueError as error:
            raise InvalidInput(path, f"is {value!r:.80}; it must be a number") from error
    wanted = {FieldDescriptor.CPPTYPE_BOOL: "a bool", FieldDescriptor.CPPTYPE_STRING: "a text"}
    wanted |= {FieldDescriptor.CPPTYPE_ENUM: "a text"} | dict.fromkeys(WHOLE, "a whole number")
    raise InvalidInput(path, f"is {value!r:.80}; it must be {wanted.get(cpp, 'a number')}")


def choice_of(field: FieldDescriptor, text: str, path: str) -> int:
    """The number of a choice, by its name without the enum's prefix, such as "webp". Raises InvalidInput: unknown."""
    enum: Any = field.enum_type
    values = enum.values
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    known = {one.name.removeprefix(prefix).lower(): one.number for one in values if one.number}
    if text not in known:
        raise InvalidInput(path, f"is {text!r:.80}; it must be {', '.join(known)}")
    return int(known[text])

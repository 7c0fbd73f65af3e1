"""The protocol's messages, in a descriptor pool of their own.

Clients of the protocol bring generated modules of their own, such as tritonclient's. Two modules with messages of one
name do not fit into one pool, so these stay out of the default one, and both can be in a process.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from tensorhop.wire.codec import PACKED, PayloadFields, payload_fields

TENSORS = {"ModelInferRequest": "inputs", "ModelInferResponse": "outputs"}  # by message, its field of tensors
STUBS = "inference.binpb"  # made of inference.proto by hatch_build.py

POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(files("tensorhop.v1").joinpath(STUBS).read_bytes()).file:
    POOL.AddSerializedFile(_file.SerializeToString())
SERVICE: ServiceDescriptor = POOL.FindServiceByName("inference.GRPCInferenceService")


@cache
def message(name: str) -> Any:
    """The class of a message, by its name in the protocol."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


ServerLiveResponse = message("ServerLiveResponse")
ServerReadyResponse = message("ServerReadyResponse")
ModelReadyResponse = message("ModelReadyResponse")
ServerMetadataResponse = message("ServerMetadataResponse")
ModelMetadataRequest = message("ModelMetadataRequest")
ModelMetadataResponse = message("ModelMetadataResponse")
ModelInferRequest = message("ModelInferRequest")
ModelInferResponse = message("ModelInferResponse")
ModelStreamInferResponse = message("ModelStreamInferResponse")
SystemSharedMemoryStatusResponse = message("SystemSharedMemoryStatusResponse")
SystemSharedMemoryRegisterResponse = message("SystemSharedMemoryRegisterResponse")
SystemSharedMemoryUnregisterResponse = message("SystemSharedMemoryUnregisterResponse")


def contents_fields(descriptor: Descriptor) -> PayloadFields:
    """The payload fields of a message, where a tensor's typed contents are payload too, though they stay inside."""
    fields = dict(payload_fields(descriptor))
    name = TENSORS.get(descriptor.name)
    if name:
        inputs: Any = descriptor.fields_by_name[name]
        contents = inputs.message_type.fields_by_name["contents"]
        typed = {one.number: PACKED for one in contents.message_type.fields if one.type != FieldDescriptor.TYPE_BYTES}
        held = payload_fields(contents.message_type)
        fields[inputs.number] = {contents.number: {**held, **typed}}
    return fields


class BothPools:
    """The descriptors of this process and those of the protocol, for reflection."""

    def __init__(self) -> None:
        self._pools = (descriptor_pool.Default(), POOL)

    def __getattr__(self, name: str) -> Any:
        """A pool's method, such as FindFileContainingSymbol: what the first pool finds that knows it."""

        def find(*arguments: Any) -> Any:
            for pool in self._pools[:-1]:
                try:
                    return getattr(pool, name)(*arguments)
                except KeyError:
                    continue
            return getattr(self._pools[-1], name)(*arguments)

        return find


def parameters_of(values: Mapping[str, bool | int | float | str]) -> dict[str, Any]:
    """Parameters of a response, by their names."""
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    return {name: message("InferParameter")(**{kinds[type(value)]: value}) for name, value in values.items()}

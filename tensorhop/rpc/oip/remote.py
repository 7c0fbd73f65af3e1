"""A network on another server, such as Triton or KServe, by the Open Inference Protocol: `oip://HOST:PORT/NAME`."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np

from tensorhop.errors import InvalidInput, ServiceFault, code_name
from tensorhop.models.sources import parse_remote
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.oip.tensors import GivenTensor, read_contents, write_output
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.status import from_error
from tensorhop.v1 import fault_pb2
from tensorhop.wire.codec import Packet, readable, reader, send
from tensorhop.wire.payloads import Payloads

CALL_SECONDS = 60.0  # that a run may take, with all its tries
ASK_SECONDS = 10.0  # that a question about the network may take
# ONNX Runtime's names of tensor types, by the protocol's names, where they differ.
TYPES = {"FP16": "float16", "FP32": "float", "FP64": "double", "BF16": "bfloat16", "BYTES": "string"}
# What passes by itself, or is the caller's matter. Every other refusal is about how the services are set up.
PASSED_ON = (
    *(fault_pb2.CODE_UNAVAILABLE, fault_pb2.CODE_RESOURCE_EXHAUSTED, fault_pb2.CODE_DEADLINE_EXCEEDED),
    *(fault_pb2.CODE_INTERNAL, fault_pb2.CODE_CANCELLED),
)


class RemoteTensor(NamedTuple):
    """An input or output, as ONNX Runtime describes its own."""

    name: str
    shape: list[int | None]  # None is a dimension of any size
    type: str  # "tensor(float)"


class Deadline:
    """A run, for as long as its answer is wanted."""

    cancelled = False

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def timeout(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def wait(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self.cancelled


class RemoteSession:
    """A network on another server, used as a session of ONNX Runtime is.

    Calls have the TLS and the token that this process's settings say. A run is tried again while the server cannot be
    reached for a moment, or says that it is full.

    Raises:
        InvalidInput: the server cannot be reached, has no such network, or the network is not ready.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._remote = parse_remote(model)
        channel = open_channel(self._remote.address)
        self._methods = {name: self._method(channel, name) for name in ("ModelReady", "ModelMetadata", "ModelInfer")}
        self._retry = Retry()
        metadata = self._asked()
        self.version = self._remote.version or (metadata.versions[-1] if metadata.versions else "")
        # The weights are not known here. A server that has others under the same name should have another version.
        described = metadata.SerializeToString(deterministic=True)
        self.digest = hashlib.sha256(f"{model}\0{self.version}\0".encode() + described).hexdigest()
        self._inputs, self._outputs = described_as(metadata.inputs), described_as(metadata.outputs)
        if not self._inputs or not self._outputs:
            raise InvalidInput("--model", f"{model} says nothing of its inputs and outputs; such a network cannot run")

    def get_inputs(self) -> list[RemoteTensor]:
        return self._inputs

    def get_outputs(self) -> list[RemoteTensor]:
        return self._outputs

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names.

        Raises:
            ServiceFault: the server does not answer, or refuses.
            InvalidInput: it answers something else than it was asked for.
        """
        payloads = Payloads()
        request = oip.ModelInferRequest(model_name=self._remote.name, model_version=self._remote.version)
        for name, array in inputs.items():
            datatype, shape, raw = write_output(array)
            request.inputs.add(name=name, datatype=datatype, shape=shape)
            request.raw_input_contents.append(payloads.keep(raw))
        for name in outputs:
            request.outputs.add(name=name)
        deadline = Deadline(CALL_SECONDS)
        packet = Packet(request, payloads)
        answer = self._retry.call(lambda: self._call("ModelInfer", packet, deadline.timeout()), deadline)
        found = read_outputs(answer)
        missing = [name for name in outputs if name not in found]
        if missing:
            raise InvalidInput("--model", f"{self.model} answers without {' and '.join(missing)}")
        return [found[name].array((found[name].datatype,), [-1] * len(found[name].shape)) for name in outputs]

    def _method(self, channel: grpc.Channel, name: str) -> Any:
        answer = oip.message(f"{name}Response")
        read = reader(answer, oip.contents_fields(answer.DESCRIPTOR))
        return channel.unary_unary(f"/{oip.SERVICE.full_name}/{name}", send, read)

    def _asked(self) -> Any:
        """What the server says of the network. Raises InvalidInput, in one sentence."""
        remote = self._remote
        try:
            question = oip.ModelMetadataRequest(name=remote.name, version=remote.version)
            metadata = self._call("ModelMetadata", Packet(question, Payloads()), ASK_SECONDS).message
            question = oip.message("ModelReadyRequest")(name=remote.name, version=remote.version)
            ready = self._call("ModelReady", Packet(question, Payloads()), ASK_SECONDS).message.ready
        except ServiceFault as error:
            raise InvalidInput("--model", f"{self.model} cannot be used: {error}") from error
        if not ready:
            raise InvalidInput("--model", f"{self.model} is not ready; the server has it, but has not loaded it")
        return metadata

    def _call(self, name: str, packet: Packet[Any], seconds: float) -> Packet[Any]:
        """Raises ServiceFault; InvalidInput: the answer cannot be read."""
        try:
            answer: Packet[Any] = readable(self._methods[name](packet, timeout=seconds))
            return answer
        except grpc.RpcError as error:
            raise self._fault(from_error(error, address=self._remote.address)) from error

    def _fault(self, error: ServiceFault) -> ServiceFault:
        """A refusal of the other server as one of ours: its caller is this service, not this service's caller."""
        fault = fault_pb2.Fault()
        fault.CopyFrom(error.fault)
        fault.message = f"{self._remote.name} at {self._remote.address}: {error}"
        if fault.code not in PASSED_ON:
            fault.message += f" ({code_name(fault)})"
            fault.code, fault.field = fault_pb2.CODE_FAILED_PRECONDITION, "--model"
        return ServiceFault(fault, error.lasting)


def read_outputs(packet: Packet[Any]) -> dict[str, GivenTensor]:
    """The outputs of an answer, raw or typed, by name. Raises InvalidInput: typed contents of another kind."""
    answer, payloads = packet
    found = {}
    for place, one in enumerate(answer.outputs):
        if place < len(answer.raw_output_contents):
            data = payloads.get(answer.raw_output_contents[place])
        else:
            data = memoryview(read_contents(one, payloads, one.name))
        found[one.name] = GivenTensor(one.name, one.datatype, tuple(one.shape), data)
    return found


def described_as(tensors: Sequence[Any]) -> list[RemoteTensor]:
    """Tensors of the protocol's metadata as ONNX Runtime describes them."""
    return [
        RemoteTensor(
            one.name,
            [size if size >= 0 else None for size in one.shape],
            f"tensor({TYPES.get(one.datatype, one.datatype.lower())})",
        )
        for one in tensors
    ]

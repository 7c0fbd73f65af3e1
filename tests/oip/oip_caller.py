"""The Open Inference Protocol as a caller speaks it that has only gRPC and the protocol's messages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from google.protobuf.message_factory import GetMessageClass

from tensorhop.rpc.oip import protocol as oip
from tensorhop.rpc.oip.tensors import write_output


class Caller:
    """The methods of the protocol at an address, by name: a message in, one or a list out."""

    def __init__(self, channel: grpc.Channel) -> None:
        for method in oip.SERVICE.methods:
            made: Any = channel.stream_stream if method.client_streaming else channel.unary_unary
            kinds = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            path = f"/{oip.SERVICE.full_name}/{method.name}"
            setattr(self, method.name, made(path, kinds[0].SerializeToString, kinds[1].FromString))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def infer(self, request: Any) -> Any:
        return self.ModelInfer(request, timeout=60)

    def stream(self, *requests: Any) -> list[Any]:
        return list(self.ModelStreamInfer(iter(requests), timeout=60))

    def refused(self, request: Any, method: str = "ModelInfer") -> tuple[str, str]:
        """The status and details of a call that fails."""
        try:
            getattr(self, method)(request, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        raise AssertionError("it succeeded")


@contextmanager
def calling(address: str) -> Iterator[Caller]:
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options=options) as channel:
        yield Caller(channel)


def asked(model: str, parameters: dict[str, Any] | None = None, **inputs: np.ndarray | Sequence[bytes]) -> Any:
    """A request with raw contents."""
    request = oip.ModelInferRequest(model_name=model, id="mine")
    for name, value in inputs.items():
        datatype, shape, raw = write_output(value)
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(bytes(raw))
    for name, value in oip.parameters_of(parameters or {}).items():
        request.parameters[name].CopyFrom(value)
    return request


def outputs(answer: Any) -> dict[str, Any]:
    """The outputs of an answer: arrays, and lists of bytes."""
    from tensorhop.rpc.oip.tensors import split_bytes
    from tensorhop.values.dtypes import DTYPES

    found: dict[str, Any] = {}
    for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        if output.datatype == "BYTES":
            found[output.name] = [bytes(one) for one in split_bytes(memoryview(raw), output.name)]
        else:
            found[output.name] = np.frombuffer(raw, DTYPES[output.datatype]).reshape(output.shape)
    return found

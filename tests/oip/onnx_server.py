"""A server of the Open Inference Protocol that runs .onnx files, as Triton does, for `--model oip://`."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message_factory import GetMessageClass

from tensorhop.rpc.oip import protocol as oip
from tensorhop.services.runtime.session import open_session

DATATYPES = {"tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(int64)": "INT64"}


class OnnxServer:
    """
    Args:
        networks: by name.
        largest: the largest batch that is taken, though the metadata do not say so.
    """

    def __init__(self, networks: Mapping[str, Path], largest: int = 100) -> None:
        self._sessions = {name: open_session(path) for name, path in networks.items()}
        self._largest = largest
        self.batches: list[int] = []
        self.failures: list[grpc.StatusCode] = []  # of the next calls
        self.metadata: list[tuple[str, str]] = []  # of the last call
        self.loaded, self.typed = True, False
        self._lock = threading.Lock()

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        return oip.ModelReadyResponse(ready=self.loaded)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        session = self._session(request.name, request.version, context)
        answer = oip.ModelMetadataResponse(name=request.name, versions=["1", "3"], platform="onnxruntime_onnx")
        for given, field in ((session.get_inputs(), answer.inputs), (session.get_outputs(), answer.outputs)):
            for one in given:
                shape = [size if isinstance(size, int) else -1 for size in one.shape]
                field.add(name=one.name, datatype=DATATYPES[one.type], shape=shape)
        return answer

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            failure = self.failures.pop(0) if self.failures else None
        self.metadata = [*context.invocation_metadata()]
        if failure:
            context.abort(failure, "as the test wants it")
        session = self._session(request.model_name, request.model_version, context)
        (given,), (raw,) = request.inputs, request.raw_input_contents
        array = np.frombuffer(raw, {"FP32": np.float32, "FP16": np.float16}[given.datatype]).reshape(given.shape)
        self.batches.append(len(array))
        if len(array) > self._largest:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"batch-size must be <= {self._largest}")
        names = [one.name for one in request.outputs]
        answer = oip.ModelInferResponse(model_name=request.model_name)
        for name, value in zip(names, session.run(names, {given.name: array}), strict=True):
            output = answer.outputs.add(name=name, datatype="FP32", shape=value.shape)
            if self.typed:
                output.contents.fp32_contents.extend(value.reshape(-1).tolist())
            else:
                answer.raw_output_contents.append(value.tobytes())
        return answer

    def _session(self, name: str, version: str, context: grpc.ServicerContext) -> Any:
        if name not in self._sessions or version not in ("", "1", "3"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        return self._sessions[name]


@contextmanager
def serving(server: OnnxServer) -> Iterator[str]:
    """Its address."""
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(server, name),
            GetMessageClass(oip.SERVICE.methods_by_name[name].input_type).FromString,
            GetMessageClass(oip.SERVICE.methods_by_name[name].output_type).SerializeToString,
        )
        for name in ("ModelReady", "ModelMetadata", "ModelInfer")
    }
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    running = grpc.server(ThreadPoolExecutor(4), options=options)
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(oip.SERVICE.full_name, handlers),))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop(0).wait()

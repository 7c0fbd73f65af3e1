"""Stock gRPC, as its guide shows it: generated classes and stubs, `tobytes()`, default allocator and options.

Only the receive limit is raised, without which it carries no more than 4 MiB.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import numpy as np

from tensorhop.orchestrator.bench.method import Echo
from tensorhop.v1 import echo_pb2, echo_pb2_grpc, tensor_pb2

OPTIONS = [("grpc.max_receive_message_length", -1)]
DTYPES: dict[str, np.dtype] = {"UINT8": np.dtype("uint8"), "FP32": np.dtype("float32")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def to_tensor(array: np.ndarray) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(dtype=NAMES[array.dtype], shape=array.shape, data=array.tobytes())


def to_array(tensor: tensor_pb2.Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, DTYPES[tensor.dtype]).reshape(tensor.shape)


class EchoServicer(echo_pb2_grpc.EchoServiceServicer):
    def Echo(self, request: echo_pb2.EchoRequest, context: grpc.ServicerContext) -> echo_pb2.EchoResponse:
        return echo_pb2.EchoResponse(tensor=to_tensor(to_array(request.tensor)))


@contextmanager
def serve() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8), options=OPTIONS)
    echo_pb2_grpc.add_EchoServiceServicer_to_server(EchoServicer(), server)
    with running(server) as address:
        yield address


@contextmanager
def running(server: grpc.Server) -> Iterator[str]:
    """Run a server of grpcio's own; its address."""
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def connect(*addresses: str) -> Iterator[Echo]:
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(address, OPTIONS)) for address in addresses]
        stubs = [echo_pb2_grpc.EchoServiceStub(channel) for channel in channels]

        def echo(array: np.ndarray) -> np.ndarray:
            for stub in stubs:
                back = to_array(stub.Echo(echo_pb2.EchoRequest(tensor=to_tensor(array))).tensor)
            return back

        yield echo

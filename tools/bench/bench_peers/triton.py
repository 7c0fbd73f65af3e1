"""Triton Inference Server by PyTriton, with tensors inside the messages or in its system shared memory."""

import os
import socket
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytriton
import tritonclient.grpc as triton
from pytriton.decorators import sample
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig
from tritonclient.utils import np_to_triton_dtype, shared_memory

from tensorhop.orchestrator.bench.method import Echo

DTYPES = (np.uint8, np.float32)  # one model for each, as a model's dtype is fixed


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@sample
def echo_sample(tensor: np.ndarray) -> list[np.ndarray]:
    return [tensor]


@contextmanager
def serve() -> Iterator[str]:
    quiet = os.open(os.devnull, os.O_WRONLY)  # its log would stand between the rows
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    # Where the server and its Python backend find CUDA's runtime and libpython, which they are linked to.
    folders = [Path(pytriton.__file__).parents[1] / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    os.environ["LD_LIBRARY_PATH"] = ":".join([*map(str, folders), os.environ.get("LD_LIBRARY_PATH", "")])
    grpc, http = free_port(), free_port()
    config = TritonConfig(
        grpc_address="127.0.0.1", grpc_port=grpc, http_address="127.0.0.1", http_port=http, allow_metrics=False
    )
    security = TritonSecurityConfig(restricted_endpoints=[])  # by default no client may register shared memory
    with Triton(config=config, security_config=security) as server:
        for dtype in DTYPES:
            server.bind(
                model_name=np.dtype(dtype).name,
                infer_func=echo_sample,
                inputs=[Tensor(name="tensor", dtype=dtype, shape=(-1,) * 3)],
                outputs=[Tensor(name="echo", dtype=dtype, shape=(-1,) * 3)],
                config=ModelConfig(batching=False),
            )
        server.run()
        yield f"127.0.0.1:{grpc}"


@contextmanager
def inline(address: str) -> Iterator[Echo]:
    with triton.InferenceServerClient(address) as client:

        def echo(array: np.ndarray) -> np.ndarray:
            tensor = input_like(array)
            tensor.set_data_from_numpy(array)
            return client.infer(array.dtype.name, [tensor]).as_numpy("echo")

        yield echo


@contextmanager
def shared(address: str) -> Iterator[Echo]:
    """Copied into a region, answered in a second one, copied out; both are made and registered once a size."""
    regions: dict[int, tuple[str, object, str, object]] = {}
    with triton.InferenceServerClient(address) as client:

        def register(name: str, size: int) -> object:
            key = f"/{name}-{os.getpid()}"
            region = shared_memory.create_shared_memory_region(name, key, size)
            client.register_system_shared_memory(name, key, size)
            return region

        def echo(array: np.ndarray) -> np.ndarray:
            size = array.nbytes
            if size not in regions:
                there, back = f"there-{size}", f"back-{size}"
                regions[size] = there, register(there, size), back, register(back, size)
            there, region, back, answer = regions[size]
            shared_memory.set_shared_memory_region(region, [array])
            tensor, output = input_like(array), triton.InferRequestedOutput("echo")
            tensor.set_shared_memory(there, size)
            output.set_shared_memory(back, size)
            client.infer(array.dtype.name, [tensor], outputs=[output])
            return shared_memory.get_contents_as_numpy(answer, array.dtype, array.shape).copy()

        try:
            yield echo
        finally:
            client.unregister_system_shared_memory()
            for _, region, _, answer in regions.values():
                shared_memory.destroy_shared_memory_region(region)
                shared_memory.destroy_shared_memory_region(answer)


def input_like(array: np.ndarray) -> triton.InferInput:
    return triton.InferInput("tensor", array.shape, np_to_triton_dtype(array.dtype))

"""Two networks on a Triton server, by PyTriton: python pytriton_server.py PORT. It says when they are ready."""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

PICTURE = (3, -1, -1)


@batch
def brightness(x: np.ndarray) -> dict[str, np.ndarray]:
    """What is bright stands out."""
    return {"y": 1 / (1 + np.exp(-2 * x.sum(1, keepdims=True)))}


@batch
def doubling(x: np.ndarray) -> dict[str, np.ndarray]:
    """Each pixel four times, and 0.1 brighter."""
    return {"y": x.repeat(2, 2).repeat(2, 3) + np.float32(0.1)}


if __name__ == "__main__":
    port = int(sys.argv[1])
    config = TritonConfig(grpc_port=port, http_port=port + 1, metrics_port=port + 2, log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(
            "brightness",
            brightness,
            [Tensor(name="x", dtype=np.float32, shape=(3, 64, 64))],
            [Tensor(name="y", dtype=np.float32, shape=(1, 64, 64))],
            config=ModelConfig(max_batch_size=8),
        )
        triton.bind(
            "doubling",
            doubling,
            [Tensor(name="x", dtype=np.float32, shape=PICTURE)],
            [Tensor(name="y", dtype=np.float32, shape=PICTURE)],
            config=ModelConfig(max_batch_size=1),
        )
        triton.run()
        print("ready", flush=True)
        sys.stdin.read()

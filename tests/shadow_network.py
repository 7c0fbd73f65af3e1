"""Tiny networks of the shape that --shadow-model takes, as .onnx files written by hand: onnx is no dependency.

`shadow_network` throws an object's mask to the right, to the left, up and down, by as much of each as the bearing says.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

FLOAT, HALF = 1, 10  # data types of ONNX
SIDE, RADIUS = 512, 40  # of the network; how many pixels the shadow falls away
SHADE = 0.5  # of the light that the shadow takes
Dimensions = Sequence[int | str]


def varint(number: int) -> bytes:
    head, rest = number & 127, number >> 7
    return bytes([head | 128]) + varint(rest) if rest else bytes([head])


def field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protobuf message: a number, or a text or message with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Sequence[int]) -> bytes:
    message = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, numbers in attributes.items():
        message += field(5, field(1, name) + b"".join(field(8, one) for one in numbers) + field(20, 7))
    return message


def tensor(name: str, array: np.ndarray) -> bytes:
    kind = {"float32": FLOAT, "float16": HALF, "int64": 7}[array.dtype.name]
    dimensions = b"".join(field(1, size) for size in array.shape)
    return dimensions + field(2, kind) + field(8, name) + field(9, array.tobytes())


def value(name: str, shape: Dimensions, kind: int = FLOAT) -> bytes:
    sizes = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))


def network(
    path: Path,
    nodes: Sequence[bytes],
    weights: Mapping[str, np.ndarray],
    takes: Sequence[bytes] = (value("x", ("n", 6, SIDE, SIDE)),),
    gives: bytes = value("y", ("n", 3, SIDE, SIDE)),
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """A file of a network from its inputs to "y"."""
    graph = b"".join(field(1, one) for one in nodes) + field(2, "graph")
    graph += b"".join(field(5, tensor(name, array)) for name, array in weights.items())
    graph += b"".join(field(11, one) for one in takes) + field(12, gives)
    model = field(1, 8) + field(7, graph) + field(8, field(2, 13))
    for key, text in (metadata or {}).items():
        model += field(14, field(1, key) + field(2, text))
    path.write_bytes(model)
    return path


def mixing_network(
    path: Path,
    rows: Sequence[Sequence[float]],
    bias: Sequence[float] = (0, 0, 0),
    metadata: Mapping[str, str] | None = None,
    batch: int | str = "n",
) -> Path:
    """A network each of whose colours is a sum of the six channels."""
    weights = {
        "w": np.array(rows, np.float32).reshape(len(rows), -1, 1, 1),
        "b": np.array(bias, np.float32),
    }
    takes = [value("x", (batch, weights["w"].shape[1], SIDE, SIDE))]
    gives = value("y", (batch, len(rows), SIDE, SIDE))
    return network(path, [node("Conv", ["x", "w", "b"], "y")], weights, takes, gives, metadata)


def shadow_network(path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """A network that draws the object's mask, thrown to where the bearing says, in grey on white."""
    steps = [(1, 4), (-1, 4), (1, 5), (-1, 5)]  # right, left, up, down: sign and channel of sine and cosine
    kernel = np.zeros((4, 6, 3, 3), np.float32)  # its taps are RADIUS apart
    for number, (down, right) in enumerate([(0, 1), (0, -1), (-1, 0), (1, 0)]):
        kernel[number, 3, 1 - down, 1 - right] = 1  # the mask from where it came
    amount = np.zeros((4, 6, 1, 1), np.float32)
    for number, (sign, channel) in enumerate(steps):
        amount[number, channel] = sign
    nodes = [
        node("Conv", ["x", "kernel"], "thrown", pads=[RADIUS] * 4, dilations=[RADIUS] * 2),
        node("Conv", ["x", "amount"], "signed"),
        node("Relu", ["signed"], "amounts"),
        node("Mul", ["thrown", "amounts"], "parts"),
        node("Conv", ["parts", "shade", "white"], "y"),
    ]
    low = (metadata or {}).get("input_range", "0,1") != "0,1"
    shade = -SHADE * (2 if low else 1)
    weights = {
        "kernel": kernel,
        "amount": amount,
        "shade": np.full((3, 4, 1, 1), shade, np.float32),
        "white": np.ones(3, np.float32),
    }
    return network(path, nodes, weights, metadata=metadata)

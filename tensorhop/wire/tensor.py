"""Tensors: an array as a dtype's name, a shape and raw bytes. Their rules are in this module alone."""

import math
import sys

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.v1 import tensor_pb2 as pb
from tensorhop.values.dtypes import DTYPES, dtype_name
from tensorhop.wire.payloads import SMALL, Payloads
from tensorhop.wire.shared_memory import ATTACHMENTS

MAX_DIMENSIONS = 32  # numpy 1 allows no more, and no model needs more


def to_tensor(array: np.ndarray, payloads: Payloads) -> pb.Tensor:
    """The message of an array; its elements go to the payloads, or into one of their slots.

    Args:
        array: of any shape and memory layout.

    Raises:
        TypeError: its dtype has no name in the protocol.
    """
    name = dtype_name(array)
    dtype = DTYPES.get(name)
    if dtype is None:
        raise TypeError(f"a tensor cannot hold {array.dtype}; it holds {', '.join(DTYPES)}")
    if place := payloads.place(array.nbytes):
        part, memory = place
        np.copyto(np.ndarray(array.shape, dtype, memory), array)
        return pb.Tensor(dtype=name, shape=array.shape, shared_memory=part)
    packed = np.ascontiguousarray(array, dtype)
    buffer = packed.tobytes() if packed.nbytes <= SMALL else packed.reshape(-1).view(np.uint8)  # no views of small ones
    return pb.Tensor(dtype=name, shape=array.shape, data=payloads.put(buffer))


def to_array(tensor: pb.Tensor, payloads: Payloads, field: str) -> np.ndarray:
    """A read-only view of a tensor's bytes in the tensor's dtype and shape. It may be unaligned.

    Args:
        field: the tensor's place in the request, for error messages.

    Raises:
        InvalidInput: the dtype is unknown, the shape is not allowed, or the number of bytes is not shape x dtype.
        NotShared: the tensor refers to a slot that this process cannot open.
    """
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise InvalidInput(f"{field}.dtype", f"is {tensor.dtype!r}; known are {', '.join(DTYPES)}")
    shape = tuple(tensor.shape)
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidInput(f"{field}.shape", f"has {len(shape)} dimensions; at most {MAX_DIMENSIONS} are allowed")
    if shape and min(shape) < 0:
        raise InvalidInput(f"{field}.shape", f"is {list(shape)}; every dimension must be 0 or more")
    if tensor.HasField("shared_memory"):
        content = f"{field}.shared_memory"
        buffer = ATTACHMENTS.view(tensor.shared_memory, content)
    else:
        content = f"{field}.data"
        buffer = payloads.get(tensor.data)
    expected = math.prod(shape) * dtype.itemsize
    if buffer.nbytes != expected:
        raise InvalidInput(
            content,
            f"has {buffer.nbytes:,} bytes; shape {list(shape)} of {tensor.dtype} takes {expected:,}",
        )
    # numpy's own limit, which only empty arrays of several dimensions can exceed here
    if not expected and len(shape) > 1 and math.prod(max(size, 1) for size in shape) * dtype.itemsize > sys.maxsize:
        raise InvalidInput(f"{field}.shape", f"is {list(shape)}, more elements than memory has addresses")
    return np.ndarray(shape, dtype, buffer.toreadonly())

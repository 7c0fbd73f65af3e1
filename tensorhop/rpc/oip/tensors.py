"""Tensors of the Open Inference Protocol: raw, typed, or in shared memory; numbers, or BYTES."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.v1 import tensor_pb2
from tensorhop.values.dtypes import DTYPES, dtype_name
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array

BYTES = "BYTES"
LENGTH_BYTES = 4  # before each element of BYTES: its length, little-endian
MOST_ELEMENTS = 10_000  # of a list, such as boxes or BYTES
# The field of InferTensorContents for each datatype; FP16 and BF16 have none.
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
# In place of its contents, a tensor names a region of shared memory by these parameters.
REGION, SIZE, OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"

ReadRegion = Callable[[str, int, int, str], bytes]  # its name, an offset, a size; a field: its bytes


@dataclass(frozen=True)
class GivenTensor:
    """An input of a request.

    Args:
        field: its place in the request, for error messages.
        data: the elements: row-major, little-endian, without padding; those of BYTES with their lengths before them.
    """

    field: str
    datatype: str
    shape: tuple[int, ...]
    data: memoryview

    def tensor(self, payloads: Payloads) -> tensor_pb2.Tensor:
        """The same tensor in a request of ours; nothing is checked, and nothing copied."""
        return tensor_pb2.Tensor(dtype=self.datatype, shape=self.shape, data=payloads.put(self.data))

    def array(self, datatypes: Collection[str], shape: Sequence[int]) -> np.ndarray:
        """The elements, read-only.

        Args:
            datatypes: those that are taken.
            shape: that it must have; -1 is a dimension of any size.

        Raises:
            InvalidInput: another datatype or shape, or as `to_array` does.
        """
        if self.datatype not in datatypes:
            raise InvalidInput(f"{self.field}.datatype", f"is {self.datatype!r}; it must be {' or '.join(datatypes)}")
        payloads = Payloads()
        array = to_array(self.tensor(payloads), payloads, self.field)
        fits = (wanted in (-1, size) for wanted, size in zip(shape, array.shape, strict=False))
        if array.ndim != len(shape) or not all(fits):
            raise InvalidInput(f"{self.field}.shape", f"is {list(array.shape)}; it must be {list(shape)}")
        return array

    def rows(self, datatypes: Collection[str], shape: Sequence[int]) -> np.ndarray:
        """`array` of a list: its first dimension is at most MOST_ELEMENTS. Raises InvalidInput."""
        array = self.array(datatypes, shape)
        if len(array) > MOST_ELEMENTS:
            raise InvalidInput(f"{self.field}.shape", f"is {list(array.shape)}; at most {MOST_ELEMENTS:,} are allowed")
        return array

    def elements(self) -> list[memoryview]:
        """The elements of BYTES. Raises InvalidInput: they are not as many as the shape says, or too many."""
        if self.datatype != BYTES:
            raise InvalidInput(f"{self.field}.datatype", f"is {self.datatype!r}; it must be {BYTES}")
        count = math.prod(self.shape)
        if min(self.shape, default=0) < 0 or count > MOST_ELEMENTS:
            raise InvalidInput(
                f"{self.field}.shape", f"is {list(self.shape)}; from 0 to {MOST_ELEMENTS:,} elements are allowed"
            )
        found = [*split_bytes(self.data, self.field)]
        if len(found) != count:
            raise InvalidInput(self.field, f"has {len(found)} elements; shape {list(self.shape)} takes {count}")
        return found

    def texts(self) -> list[str]:
        """The elements of BYTES as text. Raises InvalidInput: as `elements`, or one is not UTF-8."""
        texts = []
        for index, element in enumerate(self.elements()):
            try:
                texts.append(str(element, "utf-8"))
            except UnicodeDecodeError as error:
                raise InvalidInput(f"{self.field}[{index}]", "is not text in UTF-8") from error
        return texts


def split_bytes(data: memoryview, field: str) -> Iterator[memoryview]:
    """The elements of BYTES, each after its length. Raises InvalidInput: it ends within one."""
    at = 0
    while at < len(data):
        end = at + LENGTH_BYTES
        size = int.from_bytes(data[at:end], "little")
        if end + size > len(data):
            raise InvalidInput(field, f"ends within an element, at byte {at:,}; each is its length in 4 bytes, and it")
        yield data[end : end + size]
        at = end + size


def join_bytes(elements: Sequence[bytes | memoryview]) -> bytes:
    """Elements of BYTES, each after its length."""
    return b"".join(part for one in elements for part in (len(one).to_bytes(LENGTH_BYTES, "little"), one))


def read_inputs(
    request: Any, payloads: Payloads, known: Collection[str], read_region: ReadRegion
) -> dict[str, GivenTensor]:
    """The inputs of a ModelInferRequest, by name.

    Args:
        known: the names that inputs may have.
        read_region: reads shared memory.

    Raises:
        InvalidInput: an input is unknown or comes twice, or its contents are not as the protocol says.
    """
    found: dict[str, GivenTensor] = {}
    raw = iter(request.raw_input_contents)
    taken = 0
    for one in request.inputs:
        field = f"inputs[{one.name}]"
        if one.name not in known:
            raise InvalidInput(f"inputs[{one.name:.80}]", f"is no input of this model; known are {', '.join(known)}")
        if one.name in found:
            raise InvalidInput(field, "came twice; give each input once")
        if one.datatype != BYTES and one.datatype not in DTYPES:
            raise InvalidInput(f"{field}.datatype", f"is {one.datatype!r:.80}; known are {', '.join([*DTYPES, BYTES])}")
        if REGION in one.parameters:
            data = memoryview(read_region(*region_of(one.parameters, field), field))
        elif request.raw_input_contents:
            if one.HasField("contents"):
                raise InvalidInput(f"{field}.contents", "came with raw_input_contents; give one or the other")
            token = next(raw, None)
            if token is None:
                break
            taken += 1
            data = payloads.get(token)
        else:
            data = memoryview(read_contents(one, payloads, field))
        found[one.name] = GivenTensor(field, one.datatype, tuple(one.shape), data)
    if taken != len(request.raw_input_contents) or len(found) != len(request.inputs):
        wanted = sum(REGION not in one.parameters for one in request.inputs)
        raise InvalidInput(
            "raw_input_contents",
            f"has {len(request.raw_input_contents)} entries; there must be one for each input in the message, {wanted}",
        )
    return found


def read_contents(one: Any, payloads: Payloads, field: str) -> bytes:
    """The elements of an input's typed contents as raw ones.

    Raises:
        InvalidInput: they are in a field for another datatype, or beyond the range of the datatype.
    """
    wanted = CONTENTS.get(one.datatype)
    if wanted is None:
        raise InvalidInput(f"{field}.contents", f"has no field for {one.datatype}; send raw_input_contents")
    given = [held.name for held, _ in one.contents.ListFields()]
    if given not in ([], [wanted]):
        raise InvalidInput(f"{field}.contents", f"has {' and '.join(given)}; {one.datatype} takes {wanted}")
    values = getattr(one.contents, wanted)
    if one.datatype == BYTES:
        return join_bytes([payloads.get(token) for token in values])
    dtype = DTYPES[one.datatype]
    if dtype.kind not in "iu":
        return np.array(values, dtype).tobytes()
    array = np.array(values, np.uint64 if dtype.kind == "u" else np.int64)
    limits = np.iinfo(dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        worst = array.max() if array.max() > limits.max else array.min()
        raise InvalidInput(
            f"{field}.contents", f"holds {worst}; {one.datatype} goes from {limits.min:,} to {limits.max:,}"
        )
    return array.astype(dtype).tobytes()


def region_of(parameters: Any, field: str) -> tuple[str, int, int]:
    """The region that a tensor's parameters name, and the offset and size in it. Raises InvalidInput: malformed."""
    name, size, offset = (parameters.get(key) for key in (REGION, SIZE, OFFSET))
    if not name.string_param:
        raise InvalidInput(f"{field}.parameters[{REGION}]", "is no text; it must be the name of a region")
    for key, value in ((SIZE, size), (OFFSET, offset)):
        if value is not None and (value.WhichOneof("parameter_choice") != "int64_param" or value.int64_param < 0):
            raise InvalidInput(f"{field}.parameters[{key}]", "is no number of bytes; it must be an int64 from 0 on")
    if size is None:
        raise InvalidInput(f"{field}.parameters[{SIZE}]", f"is missing; it must stand beside {REGION}")
    return name.string_param, offset.int64_param if offset is not None else 0, size.int64_param


def write_output(value: np.ndarray | Sequence[bytes]) -> tuple[str, list[int], Any]:
    """The datatype, shape and raw contents of an output: of an array, or a list of BYTES.

    Raises:
        TypeError: the array's dtype has no name in the protocol.
    """
    if not isinstance(value, np.ndarray):
        return BYTES, [len(value)], join_bytes(value)
    name = dtype_name(value)
    if name not in DTYPES:
        raise TypeError(f"an output cannot hold {value.dtype}; it holds {', '.join(DTYPES)}")
    return name, list(value.shape), np.ascontiguousarray(value, DTYPES[name]).reshape(-1).view(np.uint8)

"""The items of an answer as one tensor for each output."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.rpc.oip.page import Item, Output, Value
from tensorhop.rpc.oip.tensors import BYTES
from tensorhop.settings import current_settings
from tensorhop.values.dtypes import DTYPES


def check_bytes(count: int, what: str) -> None:
    """Raises InvalidInput: so many bytes of outputs do not fit into a message."""
    most = current_settings().max_message_bytes
    if count > most:
        raise InvalidInput(
            what,
            f"would make {count:,} bytes of one output; a message holds {most:,}: ask for fewer items, or by "
            "ModelStreamInfer, which answers each on its own",
        )


class Gathered:
    """The items of one answer, as many as fit into a message.

    Args:
        count: how many there will be, or 0 if that is not known: then a first one tells whether all fit.
    """

    def __init__(self, count: int) -> None:
        self.items: list[Item] = []
        self._count = count
        self._bytes: dict[str, int] = {}  # by output

    def add(self, item: Item) -> None:
        """Add one more. Raises InvalidInput: it does not fit, or all will not."""
        for name, value in item.outputs.items():
            size = size_of(value)
            self._bytes[name] = self._bytes.get(name, 0) + size
            check_bytes(max(self._bytes[name], self._count * size), name)
        self.items.append(item)


def stacked(items: Sequence[Item], output: Output, count: int) -> np.ndarray | list[bytes]:
    """An output of several items, each at its place.

    Args:
        count: of the places. A place without an item is zeros, or an empty element of BYTES.

    Returns:
        An array with a first dimension of `count`, as large as the largest item: smaller ones lie at its top left,
        with zeros beside them. A list for BYTES.

    Raises:
        InvalidInput: it does not fit into a message.
    """
    values: dict[int, Any] = {item.index: item.outputs[output.name] for item in items}
    if any(isinstance(value, bytes) for value in values.values()) or (not values and output.datatype == BYTES):
        check_bytes(sum(map(len, values.values())), output.name)
        return [values.get(index, b"") for index in range(count)]
    arrays = {index: np.asarray(value) for index, value in values.items()}
    inner = [max(sizes) for sizes in zip(*(array.shape for array in arrays.values()), strict=True)]
    if not arrays:
        inner = [max(size, 0) for size in output.shape[1:]]
    dtype = next((array.dtype for array in arrays.values()), DTYPES.get(output.datatype))
    check_bytes(int(np.prod([count, *inner], dtype=object)) * np.dtype(dtype).itemsize, output.name)
    if count == len(arrays) == 1:
        return next(iter(arrays.values()))[None]
    whole = np.zeros((count, *inner), dtype)
    for index, array in arrays.items():
        place: Any = (index, *map(slice, array.shape))
        whole[place] = array
    return whole


def size_of(value: Value) -> int:
    """Bytes of an output."""
    if isinstance(value, np.ndarray | np.generic):
        return int(value.nbytes)
    return len(value) if isinstance(value, bytes) else sum(map(len, value))


def alone(value: Any) -> np.ndarray | list[bytes]:
    """An output of a single item, with the dimension that counts the items."""
    return [value] if isinstance(value, bytes) else np.asarray(value)[None]

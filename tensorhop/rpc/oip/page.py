"""A page: what a service says of itself in the Open Inference Protocol, and how its tensors become messages and back.

A service names its page as text (`Service.page`). The page reads the tensors of a request into the request message of
the service's own contract, and writes its answers as tensors. All checks are the servicer's own.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tensorhop.rpc.oip.tensors import GivenTensor
from tensorhop.v1 import fault_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

# Of an output. A number is an array without dimensions, and bytes are one element of BYTES.
Value = np.ndarray | np.generic | bytes | list[bytes]
Reader = Callable[[GivenTensor, Any, Payloads], None]  # reads a tensor into a request, whose payloads these are


@dataclass(frozen=True)
class Input:
    """A tensor that a service takes.

    Args:
        shape: -1 is a dimension of any size.
        read: reads it into the request.
        optional: it may be left out. The protocol's metadata have no word for that, so they list only the others.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    read: Reader
    optional: bool = False


class Output(NamedTuple):
    """A tensor that a service gives; of a service that answers item by item, the first dimension counts the items.

    Args:
        named: it is large and few want it, so it is sent only to callers who name it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    named: bool = False


@dataclass(frozen=True)
class Item:
    """What a service answers about one item: its outputs, without the dimension that counts the items."""

    index: int  # its place in the answer to a unary call
    outputs: dict[str, Value]


@dataclass(frozen=True)
class ItemFault:
    """What a service answers about an item that failed."""

    index: int
    fault: fault_pb2.Fault
    about: Mapping[str, int] = field(default_factory=dict)  # what else tells which item it is


class Notes(dict[str, Any]):
    """What goes into the parameters of the answer, by name: numbers, text, bools."""


Answer = Item | ItemFault | Notes
# Turns the servicer's answers to a request into items. It is told which outputs the caller wants.
Answers = Callable[[Iterator[Packet[Any]], Packet[Any], frozenset[str]], Generator[Answer, None, None]]


def item_by_item(write: Callable[[Any, Payloads, Packet[Any]], dict[str, Value]]) -> Answers:
    """Of a stream whose answers hold an item or a fault each; its place is its `index`, or else that in the stream.

    Args:
        write: the outputs of an item: of an answer, its payloads, and the request.
    """

    def answers(
        given: Iterator[Packet[Any]], request: Packet[Any], wanted: frozenset[str]
    ) -> Generator[Answer, None, None]:
        for place, (response, payloads) in enumerate(given):
            index = getattr(response, "index", place)
            if response.HasField("fault"):
                yield ItemFault(index, response.fault)
            else:
                yield Item(index, write(response, payloads, request))

    return answers


@dataclass(frozen=True)
class Page:
    """
    Args:
        method: of the service's contract.
        answers: of a unary method, one item, whose outputs are the whole answer.
        options: the fields of the request that are parameters: numbers, text, or messages of such.
        without: paths among them that are not.
        prepare: sets what a request needs for its answer to be tensors, before parameters are read; it is told which
            outputs the caller wants.
        count: of a request, how many items an answer has in all; then each has its place even if another failed.
            Without it the items that succeeded follow each other.
    """

    method: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    answers: Answers
    options: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    prepare: Callable[[Any, frozenset[str]], None] = lambda request, wanted: None
    count: Callable[[Any], int] | None = None
    names: dict[str, Input] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {one.name: one for one in self.inputs})

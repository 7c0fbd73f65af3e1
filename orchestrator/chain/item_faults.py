"""A fault for each item of a call that got no outcome."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tensorhop.errors import fault_of
from tensorhop.v1 import fault_pb2

K = TypeVar("K")
T = TypeVar("T")


def each_answered(
    outcomes: Iterable[tuple[K, T | fault_pb2.Fault]], items: Iterable[K], service: str
) -> Iterator[tuple[K, T | fault_pb2.Fault]]:
    """Outcomes as they come, and then a fault for each item without one: the call failed, or ended too early."""
    missing = dict.fromkeys(items)
    reason: Exception = RuntimeError(f"{service} ended without an answer for this object")
    try:
        for item, outcome in outcomes:
            missing.pop(item)
            yield item, outcome
    except Exception as error:
        reason = error
    for item in missing:
        yield item, fault_of(reason, service)

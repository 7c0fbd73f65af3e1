"""Outcomes of items: in the order of the items, and a fault for each item that got none."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tensorhop.errors import fault_of
from tensorhop.v1 import fault_pb2

K = TypeVar("K")
T = TypeVar("T")


def in_order(outcomes: Iterable[T], index: Callable[[T], int]) -> Iterator[T]:
    """Hold back what is done before those of lower index."""
    waiting: dict[int, T] = {}
    following = 0
    for outcome in outcomes:
        waiting[index(outcome)] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1
    yield from (waiting[index] for index in sorted(waiting))


def each_answered(
    outcomes: Iterable[tuple[K, T | fault_pb2.Fault]], items: Iterable[K], service: str
) -> Iterator[tuple[K, T | fault_pb2.Fault]]:
    """Outcomes as they come, and then a fault for each item without one: the call failed, or ended too early."""
    missing = dict.fromkeys(items)
    reason: Exception = RuntimeError(f"{service} ended without an answer for this item")
    try:
        for item, outcome in outcomes:
            missing.pop(item)
            yield item, outcome
    except Exception as error:
        reason = error
    for item in missing:
        yield item, fault_of(reason, service)

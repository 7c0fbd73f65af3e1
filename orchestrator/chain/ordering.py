"""Outcomes of items in the order of the items, whatever the order in which they get done."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

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

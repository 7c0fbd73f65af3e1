"""Large photos are worked on one after another, small ones together."""

import threading
from collections.abc import Callable

import pytest

from tensorhop.orchestrator.chain.pixel_budget import PixelBudget


def nothing() -> None:
    pass


def holders(budget: PixelBudget, sizes: list[int]) -> tuple[list[threading.Event], Callable[[], None]]:
    """An event for each size, set once it has room, in this order; and what lets all go."""
    inside, leave = [threading.Event() for _ in sizes], threading.Event()

    def hold(index: int) -> None:
        with budget.room(sizes[index], nothing):
            inside[index].set()
            leave.wait(10)

    threads = [threading.Thread(target=hold, args=(index,), daemon=True) for index in range(len(sizes))]
    for thread, event in zip(threads, inside, strict=True):
        thread.start()
        event.wait(0.2)

    def end() -> None:
        leave.set()
        for thread in threads:
            thread.join(10)

    return inside, end


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        ([40, 40, 40], 2),
        ([100, 1], 1),
        ([500], 1),
        ([500, 500], 1),
        ([1, 500], 1),
        ([0, 100, 0], 3),
        ([60, 60, 10], 1),  # none overtakes: a large one would never begin
    ],
)
def test_what_has_room_together(sizes: list[int], together: int) -> None:
    inside, end = holders(PixelBudget(100), sizes)
    assert [event.is_set() for event in inside] == [index < together for index in range(len(sizes))]
    end()
    assert all(event.is_set() for event in inside)


@pytest.mark.parametrize("waiting", [1, 2])
def test_a_wait_ends_by_what_the_check_raises(waiting: int) -> None:
    budget = PixelBudget(100)
    _, end = holders(budget, [100] * waiting)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), budget.room(1, stop):
        raise AssertionError("there is no room")
    end()
    with budget.room(100, stop):
        pass


def test_room_is_given_back_after_a_failure() -> None:
    budget = PixelBudget(100)
    with pytest.raises(ValueError, match="no"), budget.room(100, nothing):
        raise ValueError("no")
    with budget.room(100, nothing):
        pass

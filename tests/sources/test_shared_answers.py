"""Answers that the steps of one process share: one run for equal inputs, within a bound, and never a failed one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from waiting import GUARD

from tensorhop.models.answers import Answers, answer_of, shared_answers
from tensorhop.services.embedded.saliency import Saliency


class Doubling:
    """A network that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        self.runs += 1
        return 2 * tensor


def filled(value: float, size: int = 4) -> np.ndarray:
    return np.full((1, size), value, np.float32)


def test_equal_inputs_run_once_and_share_an_answer_that_cannot_be_changed() -> None:
    answers, network = Answers(), Doubling()
    first, second = (answers.get("a", filled(1), network) for _ in range(2))
    assert first is second
    assert network.runs == 1
    with pytest.raises(ValueError, match="read-only"):
        first += 1


@pytest.mark.parametrize(
    ("network", "tensor"),
    [
        ("other", filled(1)),
        ("a", filled(2)),
        ("a", filled(1).reshape(4, 1)),
        ("a", filled(1).view(np.int32)),
    ],
    ids=["network", "values", "shape", "dtype"],
)
def test_an_answer_belongs_to_all_of_its_input(network: str, tensor: np.ndarray) -> None:
    answers, counted = Answers(), Doubling()
    answers.get("a", filled(1), counted)
    np.testing.assert_array_equal(answers.get(network, tensor, counted), 2 * tensor)
    assert counted.runs == 2


def test_what_was_used_least_recently_goes_first() -> None:
    answers, network = Answers(2 * filled(0).nbytes), Doubling()
    for value in (1, 2, 1, 3, 1):
        answers.get("a", filled(value), network)
    assert network.runs == 3
    answers.get("a", filled(2), network)
    assert network.runs == 4


def test_an_answer_above_the_bound_is_given_but_not_kept() -> None:
    answers, network = Answers(8), Doubling()
    for _ in range(2):
        np.testing.assert_array_equal(answers.get("a", filled(1), network), filled(2))
    assert network.runs == 2


def test_equal_inputs_at_once_run_once() -> None:
    answers, network, begun, go = Answers(), Doubling(), threading.Event(), threading.Event()

    def slow(tensor: np.ndarray) -> np.ndarray:
        begun.set()
        assert go.wait(GUARD)
        return network(tensor)

    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(answers.get, "a", filled(1), slow)
        assert begun.wait(GUARD)
        follower = threads.submit(answers.get, "a", filled(1), network)
        go.set()
        assert follower.result(GUARD) is leader.result(GUARD)
    assert network.runs == 1


def test_a_failed_run_is_not_kept() -> None:
    answers = Answers()

    def failing(tensor: np.ndarray) -> np.ndarray:
        raise MemoryError("too little")

    with pytest.raises(MemoryError):
        answers.get("a", filled(1), failing)
    np.testing.assert_array_equal(answers.get("a", filled(1), Doubling()), filled(2))


def test_answers_are_shared_only_where_it_was_asked_for() -> None:
    network = Doubling()
    for _ in range(2):
        answer_of("a", filled(1), network)
    assert network.runs == 2
    with shared_answers():
        for _ in range(2):
            answer_of("a", filled(1), network)
    assert network.runs == 3
    answer_of("a", filled(1), network)
    assert network.runs == 4


def test_the_embedded_networks_answer_the_same_when_they_share() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    alone = Saliency().predict_small(picture)
    with shared_answers():
        for model in (Saliency(), Saliency()):
            np.testing.assert_array_equal(model.predict_small(picture), alone)

"""A way to move an array between processes, and the process that times it."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np

from tensorhop.orchestrator.bench.payload import Payload
from tensorhop.orchestrator.bench.process import Job

WARM_UP = 2  # turns that are not counted, and whose answers are compared
TURN_BYTES = 6_000_000  # a turn is one call, or of smaller payloads as many as have these bytes

Echo = Callable[[np.ndarray], np.ndarray]  # there and back


def itself(array: np.ndarray) -> np.ndarray:
    """What an echo brings back."""
    return array


@dataclass(frozen=True)
class Method:
    """A name, and what runs in the processes of both ends."""

    name: str
    connect: Callable[..., AbstractContextManager[Echo]]  # to one address, or in the chain to several
    serve: Job | None = None  # yields its address
    dtypes: tuple[str, ...] = ("uint8", "float32")  # what it can carry
    expects: Echo = itself  # what comes back of an array, if not the array


@contextmanager
def client(method: Method, *addresses: str) -> Iterator[Callable[[Payload, bool], list[float]]]:
    """The job of a client's process: its function takes a turn, and answers how many seconds each call took."""
    arrays: dict[Payload, np.ndarray] = {}
    with method.connect(*addresses) as echo:

        def turn(payload: Payload, check: bool) -> list[float]:
            if payload not in arrays:
                arrays[payload] = payload.make()
            array = arrays[payload]
            call(array, check)  # not counted: it wakes the processes of both ends, which slept while others had a turn
            return [call(array, check) for _ in range(max(1, TURN_BYTES // payload.nbytes))]

        def call(array: np.ndarray, check: bool) -> float:
            started = time.perf_counter()
            back = echo(array)
            seconds = time.perf_counter() - started
            if check:
                expected = method.expects(array)
                if back.dtype != expected.dtype or not np.array_equal(back, expected):
                    raise ValueError(f"{method.name} did not bring the array back as it was")
            return seconds

        yield turn

"""Answers of networks, kept for a process in which several steps run the same network on the same input."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
from blake3 import blake3
from cachetools import LRUCache

MOST_BYTES = 32 * 2**20  # of all answers that are kept

Key = tuple[str, tuple[int, ...], str, bytes]


class Answers:
    """A bounded cache of a network's answers by the content of its input; it can be used from any thread.

    Args:
        most_bytes: of the answers that are kept; those that were not used for longest go first.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[Key, np.ndarray] = LRUCache(most_bytes, getsizeof=lambda answer: answer.nbytes)
        self._under_way: dict[Key, Future[np.ndarray]] = {}

    def get(self, network: str, tensor: np.ndarray, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The answer to a tensor: a kept one, or that of a run under way in another thread, or else of a run now.

        Args:
            network: names the weights.
            tensor: the network's input, C-contiguous.
            run: the network.

        Returns:
            An array that cannot be written to.

        Raises:
            Exception: what `run` raises, in every thread that waits for it; it is not kept.
        """
        key = (network, tensor.shape, tensor.dtype.str, blake3(tensor.data.cast("B")).digest())
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                return kept
            leads = key not in self._under_way
            future = self._under_way.setdefault(key, Future())
        if not leads:
            return future.result()
        try:
            answer = run(tensor)
            answer.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            future.set_exception(error)
            raise
        with self._lock:
            if answer.nbytes <= self._kept.maxsize:
                self._kept[key] = answer
            del self._under_way[key]
        future.set_result(answer)
        return answer


_shared: list[Answers] = []


@contextmanager
def shared_answers() -> Iterator[None]:
    """Keep the answers of the embedded networks of this process meanwhile, MOST_BYTES of them at most.

    For a process that runs all steps of a chain, where describe, detect and segment look at the same photo. A service
    in a process of its own would seldom use an answer again; the pipeline's cache knows repeated photos.
    """
    mine = Answers()
    _shared.append(mine)
    try:
        yield
    finally:
        _shared.remove(mine)


def answer_of(network: str, tensor: np.ndarray, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A network's answer to a tensor: `Answers.get` while answers are shared, otherwise of a run."""
    return _shared[-1].get(network, tensor, run) if _shared else run(tensor)

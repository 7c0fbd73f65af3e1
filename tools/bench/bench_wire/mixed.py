"""`make bench-mixed`: how long small calls take while large messages run, on one connection and on two."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tensorhop.orchestrator.bench import product
from tensorhop.orchestrator.bench.echo import SERVICE
from tensorhop.orchestrator.bench.payload import Payload
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.rpc.remote import Remote
from tensorhop.wire.allocator import keep_large_buffers

TURN_SECONDS = 2.0
PAUSE_SECONDS = 0.005  # between small calls
SMALL = np.zeros(16, np.uint8)


class OneConnection(Remote):
    """All messages on one connection, as a plain stub sends them."""

    def __init__(self, address: str) -> None:
        super().__init__(address, SERVICE.descriptor)
        self._bulk_stub = self._small_stub


def two_connections(address: str) -> Remote:
    return Remote(address, SERVICE.descriptor)


CONNECTIONS: dict[str, Callable[[str], Remote]] = {"shared": OneConnection, "two": two_connections}


def mixed(payload: Payload, rounds: int, seconds: float = TURN_SECONDS) -> list[Row]:
    """p50 and p99 of small calls in turns on one connection and on two, and the ratio of two to one."""
    times: dict[str, list[float]] = {name: [] for name in CONNECTIONS}
    with processes() as start:
        servers = {name: start(product.serve) for name in CONNECTIONS}
        clients = {
            name: start(small_calls, connect, servers[name].answer(), payload) for name, connect in CONNECTIONS.items()
        }
        for process in clients.values():
            process.answer()
        for number in range(-1, rounds):
            for name, process in clients.items():
                taken = process.ask(seconds)
                if number >= 0:
                    times[name] += taken
    last = {name: statistics.quantiles(taken, n=100)[98] for name, taken in times.items()}
    return [
        {
            "payload": payload.name,
            "connections": name,
            "calls": len(taken),
            "p50_ms": round(statistics.median(taken) * 1000, 3),
            "p99_ms": round(last[name] * 1000, 3),
            "to_shared": round(last[name] / last["shared"], 3),
        }
        for name, taken in times.items()
    ]


@contextmanager
def small_calls(
    connect: Callable[[str], Remote], address: str, payload: Payload
) -> Iterator[Callable[[float], list[float]]]:
    """The job of a client's process: seconds of each small call in a turn, while a thread sends large messages."""
    keep_large_buffers()
    remote, array = connect(address), payload.make()

    def turn(length: float) -> list[float]:
        over = threading.Event()
        bulk = threading.Thread(target=send_until, args=(over, remote, array))
        bulk.start()
        seconds = []
        end = time.perf_counter() + length
        while (started := time.perf_counter()) < end:
            product.send(remote, SMALL)
            seconds.append(time.perf_counter() - started)
            time.sleep(PAUSE_SECONDS)
        over.set()
        bulk.join()
        return seconds

    try:
        yield turn
    finally:
        remote.close()


def send_until(over: threading.Event, remote: Remote, array: np.ndarray) -> None:
    while not over.is_set():
        product.send(remote, array)

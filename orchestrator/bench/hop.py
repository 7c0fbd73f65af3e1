"""`tensorhop bench hop`: an array to another process and back, by every method in one interleaved run."""

from collections.abc import Iterable, Sequence

from tensorhop.orchestrator.bench import floor, product, stock
from tensorhop.orchestrator.bench.echo import thumbnail
from tensorhop.orchestrator.bench.method import WARM_UP, Method, client
from tensorhop.orchestrator.bench.payload import Payload
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row, rows_of

METHODS = (
    Method("memcpy", floor.copy),
    Method("stock", stock.connect, stock.serve),
    Method("tcp", product.inline, product.serve),
    Method("unix", product.inline, product.serve_unix),
    Method("shm", product.shared, product.serve),
    Method("shm-read", product.by_reference, product.serve_reader, expects=thumbnail),
    Method("empty", product.empty, product.serve),
    Method("socket", floor.connect, floor.serve),
)


def hop(payloads: Sequence[Payload], rounds: int, more: Iterable[Method] = ()) -> list[Row]:
    """Time every method; each has a server and a client in processes of their own."""
    return rows_of(measure([*METHODS, *more], payloads, rounds), ("memcpy", "stock"))


def measure(
    methods: Sequence[Method], payloads: Sequence[Payload], rounds: int, servers: int = 1
) -> dict[str, dict[str, list[float]]]:
    """Seconds by payload and method; in each round every method takes its turn with every payload.

    So whatever else the machine does meets all methods alike.
    """
    times: dict[str, dict[str, list[float]]] = {payload.name: {} for payload in payloads}
    with processes() as start:
        started = {method: [start(method.serve) for _ in range(servers)] if method.serve else [] for method in methods}
        clients = {
            method: start(client, method, *(server.answer() for server in started[method])) for method in methods
        }
        for process in clients.values():
            process.answer()
        for number in range(-WARM_UP, rounds):
            for payload in payloads:
                for method, process in clients.items():
                    if payload.dtype in method.dtypes:
                        seconds = process.ask(payload, number < 0)
                        if number >= 0:
                            times[payload.name].setdefault(method.name, []).extend(seconds)
    return times

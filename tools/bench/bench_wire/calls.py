"""`make bench-calls`: what a small call costs, and what part of it each end has: time, and processor time of both ends.

The last two methods pair one end of ours with the other end of stock gRPC's.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import chain
from itertools import product as combinations
from typing import Any, NamedTuple

import grpc
import numpy as np

from bench_chain.growth import cpu_seconds
from tensorhop.orchestrator.bench import product, stock
from tensorhop.orchestrator.bench.echo import SERVICE
from tensorhop.orchestrator.bench.process import Job, processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.steps import Step
from tensorhop.rpc.fairness.callers import use_caller
from tensorhop.v1 import echo_pb2
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import Pool
from tensorhop.wire.tensor import to_array, to_tensor

CALLS = 200  # a turn
PAYLOADS = {"empty": (0,), "150KB": (224, 224, 3)}  # shapes, uint8
PATH = f"/{SERVICE.descriptor.full_name}/Echo"

Send = Callable[[np.ndarray], Any]
Connect = Callable[[str], AbstractContextManager[Send]]


class Method(NamedTuple):
    """A client, and the server that it calls."""

    connect: Connect
    serve: Job


@contextmanager
def serve_bytes() -> Iterator[str]:
    """gRPC without messages: bytes in, the same bytes out."""
    server = grpc.server(ThreadPoolExecutor(8))
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE.descriptor.full_name, {"Echo": handler}),)
    )
    with stock.running(server) as address:
        yield address


@contextmanager
def connect_bytes(address: str) -> Iterator[Send]:
    with grpc.insecure_channel(address) as channel:
        method: Any = channel.unary_unary(PATH)
        yield lambda array: method(array.tobytes())


@contextmanager
def connect_step(address: str) -> Iterator[Send]:
    """As the pipeline calls a service that does not share its memory: with deadline, retries, metadata and summary."""
    pool = Pool.of()
    use_caller(("10.0.0.7", "10.0.0.7:41234"))
    with closing(Step(SERVICE, address)) as step, closing(pool):
        assert not step.missing()
        scope = RequestScope("0123456789ab", pool)

        def send(array: np.ndarray) -> np.ndarray:
            def build(shared: bool) -> Packet[echo_pb2.EchoRequest]:
                payloads = Payloads()
                return Packet(echo_pb2.EchoRequest(tensor=to_tensor(array, payloads)), payloads)

            message, received = step.call("Echo", build, scope)
            return to_array(message.tensor, received, "tensor")

        yield send


METHODS = {
    "bytes": Method(connect_bytes, serve_bytes),
    "stock": Method(stock.connect, stock.serve),
    "ours": Method(product.inline, product.serve),
    "step": Method(connect_step, product.serve),
    "our client": Method(product.inline, stock.serve),
    "our server": Method(stock.connect, product.serve),
}


def calls(rounds: int, number: int = CALLS, methods: Sequence[str] = tuple(METHODS)) -> list[Row]:
    """Medians of a call, and the mean processor time of it at both ends. The methods take turns in every round."""
    turns: dict[tuple[str, str], list[list[float]]] = {}
    cpu: dict[tuple[str, str], list[float]] = {}
    with processes() as start:
        servers = {name: start(METHODS[name].serve) for name in methods}
        clients = {name: start(caller, METHODS[name].connect, servers[name].answer()) for name in methods}
        for client in clients.values():
            client.answer()
        for turn, payload, name in combinations(range(-1, rounds), PAYLOADS, methods):
            ends = [clients[name], servers[name]]
            before = [cpu_seconds([end]) for end in ends]
            taken = clients[name].ask(PAYLOADS[payload], number)
            after = [cpu_seconds([end]) for end in ends]
            if turn >= 0:
                turns.setdefault((payload, name), []).append(taken)
                sums = cpu.setdefault((payload, name), [0.0, 0.0])
                for end in range(2):
                    sums[end] += after[end] - before[end]
    return [
        row_of(payload, name, turns, [seconds / rounds / number for seconds in cpu[payload, name]])
        for payload, name in turns
    ]


def row_of(payload: str, name: str, turns: dict[tuple[str, str], list[list[float]]], cpu: Sequence[float]) -> Row:
    """The ratio is the median of the rounds' own, so that a busy moment of the machine does not decide it."""
    mine, unit = turns[payload, name], turns.get((payload, "stock"))
    medians = [statistics.median(turn) for turn in mine]
    row: Row = {"payload": payload, "method": name, "median_us": round(statistics.median(chain(*mine)) * 1e6, 1)}
    row["to_stock"] = None
    if unit:
        ratios = [median / statistics.median(turn) for median, turn in zip(medians, unit, strict=True)]
        row["to_stock"] = round(statistics.median(ratios), 3)
    client, server = (round(seconds * 1e6, 1) for seconds in cpu)
    return row | {"client_cpu_us": client, "server_cpu_us": server}


@contextmanager
def caller(connect: Connect, address: str) -> Iterator[Callable[[tuple[int, ...], int], list[float]]]:
    """The job of a client's process: its function makes so many calls, and answers the seconds of each."""
    with connect(address) as send:

        def turn(shape: tuple[int, ...], number: int) -> list[float]:
            array = np.zeros(shape, np.uint8)
            send(array)  # not counted: it wakes both ends
            seconds = []
            for _ in range(number):
                started = time.perf_counter()
                send(array)
                seconds.append(time.perf_counter() - started)
            return seconds

        yield turn

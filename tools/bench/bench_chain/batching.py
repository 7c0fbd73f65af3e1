"""`make bench-batching`: callers of one service on the simulated accelerator, batched and not.

The product's own server, servicer, batcher and connections; the photos are small, so that nothing but the model costs
time. Unbatched is the same service with a model whose largest batch is 1.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import numpy as np

from bench_chain.load import Load, under_load
from bench_chain.product_chain import serve_step
from bench_chain.simulated import LARGEST_BATCH, MODELS
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.rpc import registry
from tensorhop.rpc.remote import Remote
from tensorhop.settings import current_settings
from tensorhop.v1 import detect_pb2, image_pb2, segment_pb2
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.messages import write_image
from tensorhop.wire.payloads import Payloads

CALLERS = (1, 2, 4, 8, 16, 32)
SERVICES = ("detect", "segment")
CALLS = 6  # that each caller makes in a turn, but at least LEAST_CALLS in all
LEAST_CALLS = 100
PHOTO = (48, 64, 3)


def batching(
    rounds: int,
    callers: Sequence[int] = CALLERS,
    calls: int = CALLS,
    least: int = LEAST_CALLS,
    services: Sequence[str] = SERVICES,
) -> list[Row]:
    """Throughput and latency for each number of callers; `calls` and `least` as CALLS and LEAST_CALLS."""
    rows: list[Row] = []
    for service in services:
        with processes() as start:
            methods = {}
            for method, largest in (("unbatched", 1), ("batched", LARGEST_BATCH)):
                server = start(serve_step, service, partial(MODELS[service], largest_batch=largest), current_settings())
                methods[method] = start(callers_of, service, server.answer())
            for process in methods.values():
                process.answer()
                process.ask(max(callers), max(callers))  # not counted
            for count in callers:
                loads: dict[str, list[Load]] = {method: [] for method in methods}
                for _ in range(rounds):
                    for method, process in methods.items():
                        loads[method].append(process.ask(max(least, calls * count), count))
                rows += rows_about(f"{service}, {count} callers", loads)
    return rows


@contextmanager
def callers_of(service: str, address: str) -> Iterator[Callable[[int, int], Load]]:
    """The job of the callers' process: its function has so many calls made by so many callers."""
    photo = np.full(PHOTO, 127, np.uint8)
    contract = registry.services()[service].descriptor
    (name,) = (method.name for method in contract.methods)
    with closing(Remote(address, contract)) as remote:

        def call(piece: int) -> None:
            payloads = Payloads()
            packet = Packet(request(service, write_image(photo, payloads)), payloads)
            for answer in remote.call(name, packet):
                readable(answer)

        yield lambda calls, callers: under_load(call, range(calls), callers)


def request(service: str, image: image_pb2.Image) -> detect_pb2.DetectRequest | segment_pb2.SegmentRequest:
    """One item for the model."""
    if service == "detect":
        return detect_pb2.DetectRequest(image=image, phrases=["object"])
    return segment_pb2.SegmentRequest(image=image, boxes=[image_pb2.Box(x1=PHOTO[1], y1=PHOTO[0])])


def rows_about(payload: str, loads: dict[str, list[Load]]) -> list[Row]:
    """Medians over the turns of throughput and latencies, and their ratios to those of unbatched."""
    rows: list[Row] = []
    for method, taken in loads.items():
        row: Row = {
            "payload": payload,
            "method": method,
            "calls_a_second": statistics.median(load.rate for load in taken),
            "p50_ms": statistics.median(load.percentile(50) for load in taken) * 1000,
            "p99_ms": statistics.median(load.percentile(99) for load in taken) * 1000,
        }
        unit = rows[0] if rows else dict(row)
        for name, short in (("calls_a_second", "throughput"), ("p50_ms", "p50"), ("p99_ms", "p99")):
            row[f"{short}_to_unbatched"] = round(row[name] / unit[name], 4)
        rows.append(row)
    return [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]

"""`tensorhop bench chain`: an image to four services one after another, and what part of the real chain's time that is.

Four EchoServices, each in a process of its own, stand for describe, detect, segment and postprocess without models:
each gets the image and answers it whole, more than the real steps do. By shared memory the image is copied once into a
slot where all read it; each writes its answer to a slot that the caller lends, and the caller reads it there.

The method shm-read moves what the real chain moves: describe and detect answer little, segment a mask, and postprocess
gets and answers the object's pixels, a sixteenth of the image.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np

from tensorhop.address import reachable
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench import floor, product, stock
from tensorhop.orchestrator.bench.echo import thumbnail
from tensorhop.orchestrator.bench.hop import measure
from tensorhop.orchestrator.bench.method import Method
from tensorhop.orchestrator.bench.payload import Payload
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row, rows_of
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.registry import ports
from tensorhop.wire.allocator import keep_large_buffers

METHODS = (
    Method("stock", stock.connect, stock.serve),
    Method("tcp", product.inline, product.serve),
    Method("shm", product.shared_chain, product.serve),
    Method("shm-read", product.by_reference, product.serve_reader, expects=thumbnail),
    Method("empty", product.empty, product.serve),
    Method("memcpy", floor.copy),
)
FLOOR = ("empty", "memcpy")  # what every method is compared with; no transport of the chain


def chain(payloads: Sequence[Payload], rounds: int, photo: np.ndarray | None = None) -> list[Row]:
    """Time every method. With a photo, beside it stands the real chain's time on the embedded models for this size."""
    rows = rows_of(measure(METHODS, payloads, rounds, servers=len(CUTOUTS.calls)), ("stock",))
    for row in rows:
        medians = {one["method"]: one["median_ms"] for one in rows if one["payload"] == row["payload"]}
        row["less_empty_to_memcpy"] = round((row["median_ms"] - medians["empty"]) / medians["memcpy"], 2)
    if photo is None:
        return rows
    with processes() as start:
        pipeline = start(real_chain, photo)
        pipeline.answer()
        for payload in payloads:
            seconds = [pipeline.ask(payload) for _ in range(min(rounds, 3))]
            whole = statistics.median(seconds) * 1000
            for row in rows:
                if row["payload"] == payload.name and row["method"] not in FLOOR:
                    row |= {"pipeline_ms": round(whole, 1), "of_pipeline": round(row["median_ms"] / whole, 4)}
    return rows


@contextmanager
def real_chain(photo: np.ndarray) -> Iterator[Callable[[Payload], float]]:
    """The job of a process with all services and the pipeline: seconds for the photo in a payload's size."""
    keep_large_buffers()
    with (
        one_process(dict.fromkeys(ports(), "127.0.0.1:0")) as servers,
        PipelineClient(reachable(servers["pipeline"].address)) as client,
    ):

        def process(payload: Payload) -> float:
            height, width = payload.shape[:2]
            pixels = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
            started = time.perf_counter()
            for _ in client.process(pixels, cache=False):
                pass
            return time.perf_counter() - started

        yield process

"""`make bench-throughput`: many callers, on the services and on the monolith behind Flask.

Every caller sends photo after photo, and gets one cut-out of each as a PNG file. The photos are crops of the samples,
so that no two are the same, unless they are to be. The pipeline caches in memory, as by default. The whole run has a
time limit, since one photo takes two cores more than a second: turns get shorter to meet it, the last are left out, and
where a machine is too loaded even for one photo of each caller, there are fewer callers.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from bench_chain.load import Load, under_load
from bench_chain.monolith import Models
from bench_chain.product_chain import files, start_chain
from bench_chain.turn import Want
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.values.images.png import encode_png
from tensorhop.wire.allocator import keep_large_buffers

CALLERS = 8
REQUESTS = 24  # photos a turn, if there is time for as many
SECONDS = 80.0  # of the whole run; a turn may take a part of it longer
SPARE = 0.7  # of the time that is left, for one photo of each caller of both: the warm-up was of two callers
PAYLOADS = {"all different": 0, "a third repeated": 3}  # every third photo is one that came before


def throughput(
    photos: Sequence[np.ndarray],
    rounds: int,
    callers: int = CALLERS,
    requests: int = REQUESTS,
    seconds: float = SECONDS,
    models: Models | None = None,
) -> list[Row]:
    """Photos a second of both, turn by turn.

    Args:
        photos: height x width x 3, uint8, each with an object.
        seconds: until the run ends, about. Both methods get the same part of it for each turn, in which every caller
            sends at least one photo. Turns for which that is too short are left out, but not the first, which has as
            many callers as there is time for.
        models: by step, what makes its model, where it is not the embedded one.
    """
    from bench_chain import monolith_http

    end = time.monotonic() + seconds
    loads: dict[str, dict[str, list[Load]]] = {}
    with processes() as start:
        server = start(monolith_http.serve, models or {})
        address, _ = start_chain(start, models or {})
        methods = {
            "flask": start(callers_of, monolith_http.connect, server.answer()),
            "pipeline": start(callers_of, connect, address),
        }
        for process in methods.values():
            process.answer()
        first = [encode_png(photo) for photo in photos[:2]]
        warm_up = [process.ask(first, callers) for process in methods.values()]  # not counted
        left = max(0.0, end - time.monotonic())
        callers = max(1, min(callers, int(SPARE * left / sum(1 / load.rate for load in warm_up))))
        crops = different(photos)
        needed = 0.0
        pairs = [pair for _ in range(rounds) for pair in PAYLOADS.items()]
        for number, (payload, every) in enumerate(pairs):
            work = repeated([next(crops) for _ in range(requests)], every)
            left = max(0.0, end - time.monotonic())
            if left < needed:
                break
            most_seconds = left / (len(pairs) - number) / len(methods)
            turns = {method: process.ask(work, callers, most_seconds) for method, process in methods.items()}
            needed = sum(load.percentile(50) for load in turns.values())  # by a photo of each caller
            for method, load in turns.items():
                loads.setdefault(payload, {}).setdefault(method, []).append(load)
    return rows_about(loads, callers)


@contextmanager
def callers_of(connect: Callable, address: str) -> Iterator[Callable[..., Load]]:
    """The job of the callers' process: its function takes photos, how many callers send them, and the time limit."""
    keep_large_buffers()
    with connect(address) as call:
        yield partial(under_load, call)


@contextmanager
def connect(address: str) -> Iterator[Callable[[bytes], bytes]]:
    with PipelineClient(address) as client:
        yield lambda photo: next(iter(list(files(client, photo, Want(most=1), cache=True))), b"")


def different(photos: Sequence[np.ndarray]) -> Iterator[bytes]:
    """Files of the photos in turn, each time with one more row cut off."""
    rows = 0
    while True:
        rows += 1
        for photo in photos:
            yield encode_png(photo[rows % (photo.shape[0] // 2) :])


def repeated(work: list[bytes], every: int) -> list[bytes]:
    """The work list with every n-th item repeated from earlier; 0 leaves it as it is."""
    chance = np.random.default_rng(0)
    for index in range(every - 1, len(work), every) if every else ():
        work[index] = work[chance.integers(index)]
    return work


def rows_about(loads: dict[str, dict[str, list[Load]]], callers: int) -> list[Row]:
    """Medians over the turns, and the throughput's ratio to that of Flask in the same turn."""
    rows = []
    for payload, methods in loads.items():
        for method, taken in methods.items():
            ratios = [load.rate / flask.rate for flask, load in zip(methods["flask"], taken, strict=True)]
            rows.append(
                {
                    "payload": payload,
                    "method": method,
                    "callers": callers,
                    "photos": sum(len(load.each) for load in taken),
                    "photos_a_second": round(statistics.median(load.rate for load in taken), 3),
                    "to_flask": round(statistics.median(ratios), 4),
                    "p50_ms": round(statistics.median(load.percentile(50) for load in taken) * 1000, 1),
                }
            )
    return rows

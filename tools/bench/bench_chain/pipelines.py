"""`make bench-pipelines`: several pipeline processes behind one name, on models that answer at once. Linux only.

What a photo costs the pipeline must not depend on how many pipelines there are; how many photos a second a core of
pipelines takes at most is the inverse of it. And what one pipeline has put into the cache, the others find.
"""

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import cv2
import numpy as np

from bench_chain.growth import cpu_seconds
from bench_chain.instant import MODELS, OBJECTS, POSTPROCESS
from bench_chain.load import Load, under_load
from bench_chain.product_chain import ADDRESS, serve_pipeline, serve_step
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench import product
from tensorhop.orchestrator.bench.process import Process, processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.settings import Settings, use_settings
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult, Summary
from tensorhop.wire.allocator import keep_large_buffers

CALLERS = 8
REQUESTS = 100  # photos a turn
COUNTS = (1, 2, 4)
SIZE = (600, 400)  # of the photo: width, height
ENCODINGS = ("tensor", "png")


def pipelines(
    photo: np.ndarray,
    rounds: int,
    callers: int = CALLERS,
    requests: int = REQUESTS,
    counts: Sequence[int] = COUNTS,
    encodings: Sequence[str] = ENCODINGS,
) -> list[Row]:
    """Processor time of a photo in all pipelines together and in all services, by the number of pipelines.

    The pipelines share one set of services. The numbers take turns in every round. The last row sends each photo twice,
    by a cache in Redis, and says what part of the second answers came from there; without Redis it is left out.
    """
    shape = cv2.resize(photo, SIZE, interpolation=cv2.INTER_AREA)
    with processes() as start:
        services = {name: start(serve_step, name, model, Settings()) for name, model in MODELS.items()}
        services["postprocess"] = start(serve_postprocess)
        addresses = {name: process.answer() for name, process in services.items()}
        settings = Settings(cache="none")
        groups = {count: [start(serve_pipeline, addresses, settings) for _ in range(count)] for count in counts}
        clients = {count: start(callers_of, name_of(group), shape) for count, group in groups.items()}
        for client in clients.values():
            client.answer()
            client.ask(4, 2, "tensor")  # not counted
        turns: dict[tuple[str, int], list[Row]] = {}
        for _ in range(rounds):
            for encoding in encodings:
                for count, group in groups.items():
                    row = measured(clients[count], group, list(services.values()), requests, callers, encoding)
                    turns.setdefault((encoding, count), []).append(row)
        rows: list[Row] = [
            {"payload": encoding, "pipelines": count}
            | {name: round(statistics.median(row[name] for row in taken), 2) for name in taken[0]}
            for (encoding, count), taken in turns.items()
        ]
        for row in rows:
            cost, *_ = (one["pipeline_cpu_ms"] for one in rows if one["payload"] == row["payload"])
            row["cpu_to_first"] = round(row["pipeline_cpu_ms"] / cost, 3)
            row["photos_a_core_second"] = round(1000 / row["pipeline_cpu_ms"], 1)
        return rows + cached(start, addresses, shape, max(counts), requests)


def measured(
    client: Process, group: Sequence[Process], services: Sequence[Process], requests: int, callers: int, encoding: str
) -> Row:
    before = cpu_seconds(group), cpu_seconds(services)
    load: Load = client.ask(requests, callers, encoding)
    taken = cpu_seconds(group) - before[0], cpu_seconds(services) - before[1]
    return {
        "photos_a_second": load.rate,
        "pipeline_cpu_ms": taken[0] / requests * 1000,
        "services_cpu_ms": taken[1] / requests * 1000,
    }


def cached(
    start: Callable[..., Process], addresses: dict[str, str], photo: np.ndarray, count: int, requests: int
) -> list[Row]:
    """Photos sent once to the first pipeline, and then to all: what part of the answers came from the cache."""
    from bench_peers import redis_queue

    if redis_queue.server_path() is None:
        return []
    settings = Settings(cache=f"unix://{start(redis_queue.serve).answer()}")
    group = [start(serve_pipeline, addresses, settings).answer() for _ in range(count)]
    name = f"ipv4:{','.join(group)}"
    with PipelineClient(group[0]) as first, PipelineClient(name) as every:
        crops = [np.ascontiguousarray(photo[row : row + photo.shape[0] // 2]) for row in range(min(requests, 100))]
        for crop in crops:
            summary_of(first, crop)
        random.Random(0).shuffle(crops)
        found = [summary_of(every, crop) for crop in crops]
    answers = 2 + OBJECTS  # of describe, detect, and segment for each object
    share = sum(sum(step.cached for step in summary.steps) for summary in found) / len(found) / answers
    return [{"payload": "again, Redis", "pipelines": count, "from_cache": round(share, 4)}]


def summary_of(client: PipelineClient, photo: np.ndarray) -> Summary:
    *_, summary = client.process(photo, output=Output("tensor"))
    assert isinstance(summary, Summary)
    return summary


def name_of(group: Sequence[Process]) -> str:
    """One name for several servers, as DNS gives it for a name with several addresses."""
    return f"ipv4:{','.join(process.answer() for process in group)}"


@contextmanager
def serve_postprocess() -> Iterator[str]:
    """The job of its process."""
    use_settings(Settings())
    with product.serve(ADDRESS, POSTPROCESS) as address:
        yield address


@contextmanager
def callers_of(name: str, photo: np.ndarray) -> Iterator[Callable[[int, int, str], Load]]:
    """The job of the callers' process. Each caller has connections of its own, so that every server gets some."""
    keep_large_buffers()
    with ExitStack() as stack:
        clients = [stack.enter_context(PipelineClient(name)) for _ in range(CALLERS)]

        def one(encoding: str, number: int) -> None:
            events = list(clients[number % len(clients)].process(photo, output=Output(encoding)))
            assert sum(isinstance(event, ObjectResult) for event in events) == OBJECTS

        yield lambda requests, callers, encoding: under_load(partial(one, encoding), range(requests), callers)

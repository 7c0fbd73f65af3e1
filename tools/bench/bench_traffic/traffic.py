"""`make bench-traffic`: what a photo moves over each connection of a chain, in Redis, and on processors. Linux only.

Describe, detect and segment answer at once, with an object in each quarter of the photo; postprocess is the real one.
So bytes grow in proportion to the objects, and processor time is all that a photo costs beside its models. Every
connection goes through a relay that counts, by shared memory (a lane) and without it (pools).
"""

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import cv2
import numpy as np
import redis

from bench_chain.growth import cpu_seconds
from bench_chain.instant import InstantDescriber, InstantSegmenter
from bench_chain.product_chain import serve_pipeline, serve_step
from bench_chain.simulated import SimulatedDetector
from bench_peers import redis_queue
from bench_traffic.relay import Relay, relay
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench.process import Process, processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.settings import Settings
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult
from tensorhop.wire.shared_memory import SUPPORTED

SIZES = ((600, 400), (1024, 1024), (4000, 3000))  # of photos: width, height
OBJECTS = (1, 4)
CELLS = 4  # objects that detect finds: one in each quarter of the photo
WARM_UP = 3  # photos that are not counted
IDLE_SECONDS = 5.0
JPEG_QUALITY = 90
LAYOUTS = {"lane": {}, "pools": {"shm_bytes": 0}}
COMMANDS = ("get", "set")
KB = 1000


class QuarterDetector(SimulatedDetector):
    def __init__(self) -> None:
        super().__init__(CELLS)

    def launch(self, items: int) -> None: ...


MODELS = {"describe": InstantDescriber, "detect": QuarterDetector, "segment": InstantSegmenter, "postprocess": None}


class Chain:
    """A layout's processes, with a relay in front of each."""

    def __init__(self, relays: Mapping[str, Relay], servers: Mapping[str, Process], store: redis.Redis) -> None:
        self.relays, self._servers, self._store = relays, servers, store

    def passed(self) -> dict[str, tuple[int, int]]:
        return {name: one.passed for name, one in self.relays.items()}

    def cpu(self) -> dict[str, float]:
        """Seconds of each process; Redis's as it says itself."""
        taken = {name: cpu_seconds([server]) for name, server in self._servers.items()}
        usage = self._store.info("cpu")
        return taken | {"redis": usage["used_cpu_user"] + usage["used_cpu_sys"]}

    def commands(self) -> int:
        stats = self._store.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in COMMANDS)

    def keys_bytes(self) -> int:
        """Memory that Redis uses for all entries."""
        return int(self._store.info("memory")["used_memory_dataset"])


def traffic(
    photo: np.ndarray,
    rounds: int,
    sizes: Sequence[tuple[int, int]] = SIZES,
    objects: Sequence[int] = OBJECTS,
    idle_seconds: float = IDLE_SECONDS,
) -> dict[str, list[Row]]:
    """Rows of three tables, by title; all of them of one photo.

    Args:
        photo: height x width x 3, uint8; scaled to the sizes.
        rounds: photos at each point, all different, of which each number is the median, or the mean of seconds.
    """
    network: list[Row] = []
    entries: list[Row] = []
    seconds: list[Row] = []
    for layout, settings in LAYOUTS.items():
        if layout == "lane" and not SUPPORTED:
            continue
        with start_layout(settings) as chain, PipelineClient(chain.relays["caller"].address) as client:
            numbers = itertools.count(1)
            for warm in different(cv2.resize(photo, sizes[0]), numbers, WARM_UP):
                ask(client, warm, max(objects), "png")
            before = chain.passed()
            time.sleep(idle_seconds)
            network.append(
                {"payload": "idle, a second", "layout": layout, "objects": None} | of_bytes(before, chain, idle_seconds)
            )
            for width, height in sizes:
                shape = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
                for count in objects:
                    point = {"payload": f"{width} x {height}", "layout": layout, "objects": count}
                    moved, kept, took = measured(chain, client, list(different(shape, numbers, rounds)), count)
                    network.append(point | moved)
                    entries.append(point | kept)
                    seconds.append(point | took)
    return {
        "KB of a photo over each connection: to the server, and back": network,
        "Redis: commands and KB of a photo, new and once more": entries,
        "Processor time of a photo, ms": seconds,
    }


@contextmanager
def start_layout(settings: Mapping[str, int]) -> Iterator[Chain]:
    with ExitStack() as stack:
        start = stack.enter_context(processes())
        path = start(redis_queue.serve).answer()
        store = stack.enter_context(redis.Redis(unix_socket_path=path))
        given = Settings(**settings)
        servers = {step: start(serve_step, step, model, given) for step, model in MODELS.items()}
        relays = {step: stack.enter_context(relay(server.answer())) for step, server in servers.items()}
        relays["redis"] = stack.enter_context(relay(path))
        addresses = {step: relays[step].address for step in servers}
        cached = Settings(cache=f"redis://{relays['redis'].address}", **settings)
        servers["pipeline"] = start(serve_pipeline, addresses, cached)
        relays["caller"] = stack.enter_context(relay(servers["pipeline"].answer()))
        yield Chain(relays, servers, store)


def measured(chain: Chain, client: PipelineClient, files: Sequence[bytes], objects: int) -> tuple[Row, Row, Row]:
    """A point of the three tables: photos that are new, and then the same once more."""
    moved, kept = [], []
    cpu, memory = chain.cpu(), chain.keys_bytes()
    for file in files:
        before, commands = chain.passed(), chain.commands()
        ask(client, file, objects, "png")
        row = of_bytes(before, chain)
        kept.append(
            {"new": chain.commands() - commands, "new_to": row.pop("redis_to"), "new_back": row.pop("redis_back")}
        )
        moved.append(row | {"png": row.pop("caller_back")})
    took = {name: (now - cpu[name]) / len(files) * 1000 for name, now in chain.cpu().items()}
    memory = chain.keys_bytes() - memory
    for index, file in enumerate(files):
        before, commands = chain.passed(), chain.commands()
        ask(client, file, objects, "tensor")
        row = of_bytes(before, chain)
        moved[index]["tensor"] = row["caller_back"]
        kept[index] |= {
            "again": chain.commands() - commands,
            "again_to": row["redis_to"],
            "again_back": row["redis_back"],
        }
        kept[index]["memory"] = memory / len(files) / KB
    return median(moved), median(kept), {name: round(value, 1) for name, value in took.items()}


def of_bytes(before: Mapping[str, tuple[int, int]], chain: Chain, photos: float = 1) -> Row:
    row: Row = {}
    for name, (to, back) in chain.passed().items():
        row[f"{name}_to"] = (to - before[name][0]) / photos / KB
        row[f"{name}_back"] = (back - before[name][1]) / photos / KB
    return row


def median(rows: Sequence[Row]) -> Row:
    return {name: round(statistics.median(row[name] for row in rows), 1) for name in rows[0]}


def ask(client: PipelineClient, file: bytes, objects: int, encoding: str) -> None:
    events = list(client.process(file, max_objects=objects, output=Output(encoding)))
    if sum(isinstance(event, ObjectResult) for event in events) != objects:
        raise RuntimeError(f"not all of {objects} objects were finished: {events}")


def different(photo: np.ndarray, numbers: Iterator[int], count: int) -> Iterator[bytes]:
    """JPEG files of one photo, each shifted by another number of columns, so that the cache knows none of them."""
    for number in itertools.islice(numbers, count):
        shifted = np.roll(photo, number, axis=1)
        yield cv2.imencode(".jpg", shifted[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

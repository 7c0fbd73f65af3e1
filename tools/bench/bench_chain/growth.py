"""`make bench-growth`: what a photo costs as work grows, and what memory all servers together take for it.

Objects and megapixels grow on the embedded models, on one photo at a time. Callers grow on the simulated accelerator,
with small cut-outs without a shadow: 256 callers of the embedded models would be waiting for each other for hours.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from bench_chain.load import Load, under_load
from bench_chain.monolith import Models
from bench_chain.product_chain import caller, files, start_chain
from bench_chain.simulated import MODELS, cells
from bench_chain.turn import Want
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench.process import Process, processes
from tensorhop.orchestrator.bench.table import Row
from tensorhop.settings import Settings
from tensorhop.values.images.png import encode_png
from tensorhop.wire.allocator import keep_large_buffers

OBJECTS = (1, 4, 16, 64)
MEGAPIXELS = (0.3, 3, 12, 48)
CALLERS = (1, 4, 16, 64, 256)
PHOTO_PIXELS = 1.5e6  # of the photo whose objects grow in number
REQUESTS = 64  # photos at each number of callers, but at least one from each
SMALL = {"canvas": (256, 256), "shadow": "none"}  # what the callers want
MOST_CALLERS = 1024  # that the servers of the callers take: operators set it as TENSORHOP_MAX_CALLS


def growth(
    photo: np.ndarray,
    rounds: int,
    objects: Sequence[int] = OBJECTS,
    megapixels: Sequence[float] = MEGAPIXELS,
    callers: Sequence[int] = CALLERS,
    requests: int = REQUESTS,
    models: Models | None = None,
) -> Iterator[Row]:
    """Seconds and memory, point by point.

    Args:
        photo: height x width x 3, uint8, with one object.
        models: by step, what makes its model, where objects and megapixels are not to grow on the embedded ones.
    """
    with processes() as start:
        address, servers = start_chain(start, models or {})
        client = start(caller, address)
        client.answer()
        client.ask(encode_png(photo), Want(most=1))  # not counted
        for megapixel in megapixels:
            file = encode_png(resized(photo, megapixel * 1e6))
            yield measured("megapixels", megapixel, rounds, servers, client, file, Want(most=1))
        side = int(np.ceil(np.sqrt(max(objects))))
        whole = resized(np.tile(photo, (side, side, 1)), PHOTO_PIXELS)
        file = encode_png(whole)
        for count in objects:
            boxes = cells(whole, side * side)[:count]
            yield measured("objects", count, rounds, servers, client, file, Want(boxes=boxes, most=count))
    settings = Settings(max_calls=MOST_CALLERS, max_queue=MOST_CALLERS)
    with processes() as start:
        address, servers = start_chain(start, MODELS, settings)
        client = start(callers_of, address, encode_png(photo), Want(most=1, finish=SMALL))
        client.answer()
        client.ask(2, 2)  # not counted
        for count in callers:
            before = meter(servers)
            load: Load = client.ask(max(requests, count), count)
            row = row_of("callers", count, load.seconds, len(load.each), servers, before)
            yield row | {f"p{percent}_ms": round(load.percentile(percent) * 1000, 1) for percent in (50, 99)}


def measured(
    what: str, point: float, rounds: int, servers: Sequence[Process], client: Process, file: bytes, want: Want
) -> Row:
    before = meter(servers)
    seconds = sum(client.ask(file, want).seconds for _ in range(rounds))
    return row_of(what, point, seconds, rounds, servers, before)


def row_of(what: str, point: float, seconds: float, photos: int, servers: Sequence[Process], cpu_before: float) -> Row:
    """Of a photo: time on the clock, and of processors. The second does not depend on what else the machine does."""
    return {
        "payload": what,
        "point": point,
        "photo_ms": round(seconds / photos * 1000, 1),
        "cpu_ms": round((cpu_seconds(servers) - cpu_before) / photos * 1000, 1),
        "peak_mib": sum(peak_mib(server.pid) for server in servers),
    }


def resized(photo: np.ndarray, pixels: float) -> np.ndarray:
    """The photo with about so many pixels."""
    scale = (pixels / (photo.shape[0] * photo.shape[1])) ** 0.5
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


@contextmanager
def callers_of(address: str, file: bytes, want: Want) -> Iterator[Callable[[int, int], Load]]:
    """The job of the callers' process: its function has so many photos sent by so many callers."""
    keep_large_buffers()
    with PipelineClient(address) as client:
        send = partial(one, client, file, want)
        yield lambda requests, callers: under_load(send, range(requests), callers)


def one(client: PipelineClient, file: bytes, want: Want, number: int) -> None:
    list(files(client, file, want, cache=False))


def meter(servers: Sequence[Process]) -> float:
    """Have the kernel count each process's peak memory from now on; returns `cpu_seconds`. Linux only."""
    for server in servers:
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    return cpu_seconds(servers)


class Running(Protocol):
    """A process."""

    @property
    def pid(self) -> int: ...


def cpu_seconds(servers: Sequence[Running]) -> float:
    """Processor time that the processes have taken since they began."""
    ticks = 0
    for server in servers:
        fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> int:
    """The most physical memory that a process took; shared memory counts in each process that reads it."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) // 1024

"""`make bench-soak`: large messages for minutes, and what memory the service takes meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorhop.orchestrator.bench import product
from tensorhop.orchestrator.bench.method import Echo
from tensorhop.orchestrator.bench.payload import Payload
from tensorhop.orchestrator.bench.process import processes
from tensorhop.orchestrator.bench.table import Row

WARM_UP = 0.2  # of the whole time, at most WARM_UP_SECONDS
WARM_UP_SECONDS = 30.0
CONNECT: dict[str, Callable] = {"tcp": product.inline, "shm": product.shared}


def soak(payload: Payload, seconds: float, concurrency: int, method: str, say: Callable[[Row], None]) -> Row:
    """Echo for `seconds`; tells the server's resident memory as it goes, and returns how it went."""
    every = max(1.0, seconds / 30)
    rows: list[Row] = []
    with processes() as start:
        server = start(product.serve)
        client = start(senders, CONNECT[method], server.answer(), payload, concurrency)
        client.answer()
        started = time.monotonic()
        while (now := time.monotonic() - started) < seconds + every:
            rows.append({"seconds": round(now), "calls": client.ask(), "rss_mib": resident_mib(server.pid)})
            say(rows[-1])
            time.sleep(every)
    warm = min(WARM_UP_SECONDS, WARM_UP * seconds)
    after = [row["rss_mib"] for row in rows if row["seconds"] >= warm] or [rows[-1]["rss_mib"]]
    return {
        "payload": payload.name,
        "method": method,
        "concurrency": concurrency,
        "calls": rows[-1]["calls"],
        "first_mib": after[0],
        "last_mib": after[-1],
        "max_mib": max(after),
    }


@contextmanager
def senders(connect: Callable, address: str, payload: Payload, concurrency: int) -> Iterator[Callable[[], int]]:
    """The job of a client's process: threads that echo until the end; its function tells how many calls are done."""
    array = payload.make()
    over = threading.Event()
    counts, errors = [0] * concurrency, []

    def run(index: int, echo: Echo) -> None:
        try:
            while not over.is_set():
                echo(array)
                counts[index] += 1
        except Exception as error:
            errors.append(error)

    def count() -> int:
        if errors:
            raise errors[0]
        return sum(counts)

    with connect(address) as echo:
        threads = [threading.Thread(target=run, args=(index, echo)) for index in range(concurrency)]
        for thread in threads:
            thread.start()
        try:
            yield count
        finally:
            over.set()
            for thread in threads:
                thread.join()


def resident_mib(pid: int) -> int:
    """Physical memory of a process. Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kib) // 1024

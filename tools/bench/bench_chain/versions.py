"""`make bench-versions`: this checkout beside another commit of it: `tensorhop run`, and whole chains. Linux only.

The other commit gets a folder and an environment of its own, which are removed again. Each chain is what its commit
serves: its pipeline, its postprocess, and its tools/chaos/instant.py for models that answer at once, without a cache.
One client, of this checkout, calls all.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from bench_chain.growth import cpu_seconds
from bench_chain.load import under_load
from bench_peers.ray_cluster import free_port
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.bench.table import Row
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.health import why_not_ready
from tensorhop.values.output_options import Output

ROOT = Path(__file__).resolve().parents[3]
INSTANT = ("describe", "detect", "segment")
CALLERS = (1, 8, 32)
PHOTOS = 40  # a turn
SIZE = (600, 400)  # of the photo in the chains: width, height
START_SECONDS = 60.0

Roots = Mapping[str, Path]  # the folder of each version


@contextmanager
def versions(commit: str) -> Iterator[Roots]:
    """The commit, in a folder of its own and installed in its .venv, and this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "other"
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), commit], check=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(path / ".venv")], check=True)
            install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", str(path))
            subprocess.run([program(path, "python"), *install], check=True)
            yield {commit: path, "this": ROOT}
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def program(root: Path, name: str) -> str:
    """A program of a version's environment; this checkout's is the one that runs now."""
    folder = Path(sys.executable).parent if root == ROOT else root / ".venv" / "bin"
    return str(folder / name)


def in_turn(turns: Mapping[str, Callable[[], Row]], rounds: int) -> Iterator[Row]:
    """Medians of each version, and of its ratios to the first version in the same round."""
    taken: dict[str, list[Row]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in list(turns)[:: 1 if number % 2 else -1]:
            taken[name].append(turns[name]())
    first = next(iter(taken.values()))
    for name, rows in taken.items():
        row: Row = {"version": name}
        for key in rows[0]:
            row[key] = round(statistics.median(one[key] for one in rows), 2)
            row[f"{key}_ratio"] = round(statistics.median(a[key] / b[key] for a, b in zip(rows, first, strict=True)), 3)
        yield row


def runs(roots: Roots, photo: Path, rounds: int) -> list[Row]:
    """Seconds, processor seconds and peak memory of `tensorhop run PHOTO`; the first of each version is not counted."""

    def run(root: Path) -> Row:
        with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile() as said:
            command = [program(root, "tensorhop"), "run", str(photo), "--out", out]
            started = time.perf_counter()
            process = subprocess.Popen(command, stdout=said, stderr=said)
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            if status:
                said.seek(0)
                sys.exit(f"{' '.join(command)} failed:\n{said.read().decode(errors='replace')}")
        return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}

    turns = {name: partial(run, root) for name, root in roots.items()}
    for turn in turns.values():
        turn()
    return list(in_turn(turns, rounds))


def chains(roots: Roots, photo: np.ndarray, encoding: str, rounds: int) -> list[Row]:
    """Photos a second, and processor time of a photo (ms) in the pipeline and in its services, by callers."""
    pixels = cv2.resize(photo, SIZE, interpolation=cv2.INTER_AREA)
    with ExitStack() as stack:
        started = {name: stack.enter_context(chain(root)) for name, root in roots.items()}
        clients = {name: stack.enter_context(PipelineClient(address)) for name, (address, _) in started.items()}

        def load(name: str, photos: int, callers: int) -> float:
            """Photos a second."""
            output = Output(encoding)
            return under_load(lambda _: list(clients[name].process(pixels, output=output)), range(photos), callers).rate

        def turn(name: str, callers: int) -> Row:
            processes = started[name][1]
            parts = {"pipeline_ms": processes[-1:], "services_ms": processes[:-1]}
            before = {part: cpu_seconds(those) for part, those in parts.items()}
            rate = load(name, PHOTOS, callers)
            spent = {part: 1000 * (cpu_seconds(those) - before[part]) / PHOTOS for part, those in parts.items()}
            return {"photos_a_second": rate} | spent

        for name in clients:
            load(name, 8, 2)  # not counted
        return [
            {"payload": encoding, "callers": callers} | row
            for callers in CALLERS
            for row in in_turn({name: partial(turn, name, callers) for name in roots}, rounds)
        ]


@contextmanager
def chain(root: Path) -> Iterator[tuple[str, Sequence["subprocess.Popen[bytes]"]]]:
    """The address of a version's pipeline, and the processes of its services and, last, its own."""
    addresses = {name: f"127.0.0.1:{free_port()}" for name in (*INSTANT, "postprocess", "pipeline")}
    python, serve = program(root, "python"), [program(root, "tensorhop"), "serve"]
    commands = [
        [python, "tools/chaos/instant.py", name, "--listen", addresses[name], "--seconds", "0"] for name in INSTANT
    ]
    commands.append([*serve, "postprocess", "--listen", addresses["postprocess"]])
    steps = [part for name in (*INSTANT, "postprocess") for part in (f"--{name}", addresses[name])]
    commands.append([*serve, "pipeline", "--listen", addresses["pipeline"], *steps])
    environment = os.environ | {"TENSORHOP_CACHE": "none", "PYTHONPATH": str(root)}
    with tempfile.TemporaryFile() as log, ExitStack() as stack:
        processes = []
        for command in commands:
            process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes.append(process)
        wait_until_ready(addresses["pipeline"])
        yield addresses["pipeline"], processes


def wait_until_ready(address: str) -> None:
    """Raises TimeoutError: the pipeline, or a service behind it, does not answer in START_SECONDS."""
    end = time.monotonic() + START_SECONDS
    with open_channel(address) as channel:
        while reason := why_not_ready(channel, timeout=5):
            if time.monotonic() > end:
                raise TimeoutError(reason)
            time.sleep(0.2)

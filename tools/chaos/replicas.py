"""Services that die, stand still, lose the network, or are restarted."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cluster import STEPS, Cluster, Namespace
from load import Load, Tally
from rows import Row

from tensorhop.orchestrator.commands.up_command import started_with

BEFORE, DURING, AFTER = 2.0, 5.0, 2.0  # seconds under load: whole, broken, mended


def two(arguments: argparse.Namespace) -> Iterator[Row]:
    """Two replicas of each service: no request may be lost."""
    with contextlib.ExitStack() as stack:
        remote, why = {}, ""
        namespace = Namespace()
        try:
            stack.enter_context(namespace)
            remote["segment"] = namespace.prefix, namespace.host
        except (OSError, subprocess.CalledProcessError) as error:
            why = f"no network namespaces here: {error}"
        cluster = stack.enter_context(Cluster(2, embedded=arguments.embedded, remote=remote))
        load = Load(cluster.pipeline.address)
        for name in STEPS:
            victim = cluster.services[name][0]
            with load.running() as tally:
                time.sleep(BEFORE)
                victim.kill()
                at = time.monotonic()
                time.sleep(DURING)
                victim.start()
                victim.wait_healthy()
                time.sleep(AFTER)
            yield Row(f"SIGKILL of 1 of 2 {name}", tally, recovered=tally.recovered(at))
        for name in ("segment", "postprocess"):
            victim = cluster.services[name][0]
            with load.running() as tally:
                time.sleep(BEFORE)
                victim.signal(signal.SIGSTOP)
                at = time.monotonic()
                time.sleep(DURING)
                victim.signal(signal.SIGCONT)
                time.sleep(AFTER)
            yield Row(f"SIGSTOP of 1 of 2 {name}, {DURING:.0f} s", tally, recovered=tally.recovered(at))
        if remote:
            with load.running() as tally:
                time.sleep(BEFORE)
                namespace.cut()
                at = time.monotonic()
                time.sleep(DURING)
                namespace.join()
                time.sleep(AFTER)
            yield Row(f"network of 1 of 2 segment lost, {DURING:.0f} s", tally, recovered=tally.recovered(at))
        else:
            yield Row("network of 1 of 2 segment lost", Tally(), note=f"skipped; {why}")


def rolling(arguments: argparse.Namespace) -> Iterator[Row]:
    """Replicas that are stopped and started in turn: no request may be lost."""
    with Cluster(2) as cluster:
        load = Load(cluster.pipeline.address)
        for number, count in ((signal.SIGTERM, arguments.restarts), (signal.SIGINT, 4)):
            yield restarts(cluster, load, number, count)


def restarts(cluster: Cluster, load: Load, number: signal.Signals, count: int) -> Row:
    """Stop and start the replicas of segment in turn."""
    codes = set()
    with load.running() as tally:
        for turn in range(count):
            victim = cluster.services["segment"][turn % 2]
            victim.signal(number)
            codes.add(victim.wait())
            victim.start()
            victim.wait_healthy()
    problem = f"exit codes {sorted(codes)}" if codes != {0} else ""
    return Row(f"{count} rolling restarts of segment, {number.name}", tally, note="each exits 0", problem=problem)


def one(arguments: argparse.Namespace) -> Iterator[Row]:
    """One replica of each service: a request may fail, by a fault that says where, until the service is back."""
    with Cluster(1) as cluster:
        load = Load(cluster.pipeline.address)
        for victim in cluster.all:
            with load.running() as tally:
                time.sleep(BEFORE)
                victim.kill()
                time.sleep(DURING)
                victim.start()
                victim.wait_healthy()
                at = time.monotonic()
                time.sleep(3 * AFTER)
            recovered = tally.recovered(at)
            # A caller of a pipeline that is gone gets gRPC's own UNAVAILABLE; no step is to blame.
            expected = "unspecified UNAVAILABLE" if victim.name == "pipeline" else f"{victim.name} UNAVAILABLE"
            told = take(tally, expected)
            problem = "" if recovered is not None else "no good answer after it was back"
            yield Row(
                f"SIGKILL of the only {victim.name}",
                tally,
                told,
                recovered,
                "measured from when it is healthy again",
                problem,
            )


def take(tally: Tally, expected: str) -> int:
    """Do not count as lost what ended in the expected way; returns how many that were."""
    told = 0
    for reason in [reason for reason in tally.reasons if reason.startswith(expected)]:
        told += tally.reasons.pop(reason)
    tally.lost -= told
    return told


def parent(arguments: argparse.Namespace) -> Iterator[Row]:
    """`tensorhop up` is killed: nothing of it may live on."""
    host = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.2"
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "up", "--host", host]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "ready" not in process.stderr.readline():
            assert process.poll() is None, "tensorhop up did not start"
        children = children_of(process.pid)
        process.kill()
        at = time.monotonic()
        while (alive := [pid for pid in children if living(pid)]) and time.monotonic() < at + 30:
            time.sleep(0.05)
        took = time.monotonic() - at
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
    problem = f"{len(alive)} of {len(children)} lived on" if alive or len(children) != len(started_with([])) else ""
    note = f"its {len(children)} child processes ended after {took:.1f} s"
    yield Row("SIGKILL of tensorhop up", Tally(), note=note, problem=problem)


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"PPid:\t{pid}\n" in entry.read_text():
                found.append(int(entry.parent.name))
    return found


def living(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False

"""More than there is room for: deadlines, overload, crowds, callers who are slow or gone, large requests."""

import argparse
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
from cluster import Cluster, Namespace, Process
from grpc_health.v1 import health_pb2, health_pb2_grpc
from load import PHOTOS, Load, Tally, in_threads, resized
from replicas import take
from rows import Row

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import ServiceFault
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.status import from_error
from tensorhop.v1 import fault_pb2, image_pb2, pipeline_pb2
from tensorhop.values.images import decode_image
from tensorhop.values.results import ObjectFault, ObjectResult, Summary
from tensorhop.wire.codec import Packet, Stub, readable
from tensorhop.wire.payloads import Payloads

Place = tuple[float, float, float, float]  # a box: x0, y0, x1, y1
TIMES = 10  # the capacity, that overload asks for
IN_TIME = 1.0  # seconds after a deadline within which a caller on a busy machine must have heard of it


def deadline(arguments: argparse.Namespace) -> Iterator[Row]:
    """A caller's deadline and a service that does not answer in time."""
    for name in ("describe", "segment"):
        with Cluster(1) as cluster:
            load = Load(cluster.pipeline.address)
            victim = cluster.services[name][0]
            victim.signal(signal.SIGSTOP)
            tally = Tally()
            with PipelineClient(cluster.pipeline.address, retry=False) as client:
                for number in range(6):
                    load.one(client, number, tally, timeout=0.5)
            victim.signal(signal.SIGCONT)
            late = take(tally, f"{name} DEADLINE_EXCEEDED")
            dead = take(tally, f"{name} UNAVAILABLE")  # it does not answer to pings either
            told, slowest = late + dead, tally.slowest
            problem = f"heard of it after {slowest:.1f} s" if slowest > 0.5 + IN_TIME else ""
            note = f"{late}x DEADLINE_EXCEEDED, {dead}x UNAVAILABLE, each with the step"
            yield Row(f"deadline of 0.5 s, {name} stopped", tally, told, note=note, problem=problem)
    with Cluster(1, seconds=0.0) as cluster, Cluster(1, seconds=1.0) as slow:
        load = Load(cluster.pipeline.address)
        load.address = slow.pipeline.address
        tally = Tally()
        with PipelineClient(load.address, retry=False) as client:
            for number in range(6):
                load.one(client, number, tally, timeout=0.5)
        told = take(tally, "describe DEADLINE_EXCEEDED")
        slowest, after = tally.slowest, time.monotonic()
        with PipelineClient(load.address, retry=False) as client:
            load.one(client, 0, tally)
        took = time.monotonic() - after
        # describe 1 s, detect 1 s, two objects of 1 s in segment; and what was under way already.
        problem = f"heard of it after {slowest:.1f} s" if slowest > 0.5 + IN_TIME else ""
        note = f"the next request, which needs 4 s of models, took {took:.1f} s"
        problem = problem or ("work went on behind it" if took > 8 else "")
        yield Row("deadline of 0.5 s, describe takes 1 s", tally, told, note=note, problem=problem)
        yield second_signal(slow, load)


def second_signal(cluster: Cluster, load: Load) -> Row:
    """A service with a request in flight is asked to end, twice."""
    victim = cluster.services["segment"][0]
    with load.running(1) as tally:
        time.sleep(3.0)  # in segment now
        victim.signal(signal.SIGTERM)
        time.sleep(0.2)
        at = time.monotonic()
        victim.signal(signal.SIGTERM)
        code = victim.wait()
        took = time.monotonic() - at
        victim.start()
        victim.wait_healthy()
    problem = f"it ended with {code}" if code != -signal.SIGTERM or took > IN_TIME else ""
    told = take(tally, "segment UNAVAILABLE")
    return Row("SIGTERM, and again", tally, told, note=f"ended {took:.1f} s after the second", problem=problem)


def overload(arguments: argparse.Namespace) -> Iterator[Row]:
    """Ten times as many requests as can be answered."""
    with Cluster(1, seconds=0.1) as cluster:
        load = Load(cluster.pipeline.address)
        with load.running(4) as calm:
            time.sleep(6.0)
        capacity = max(1.0, len(calm.done) / 6.0)
        tally, rate = Tally(), TIMES * capacity
        seconds = arguments.overload_seconds
        with (
            Watch(cluster.all) as watch,
            PipelineClient(load.address, retry=False) as client,
            ThreadPoolExecutor(400) as callers,
        ):
            start = time.monotonic()
            for number in range(int(seconds * rate)):
                time.sleep(max(0.0, start + number / rate - time.monotonic()))
                callers.submit(load.one, client, number, tally, timeout=180.0)
        offered = tally.requests / seconds
        note = (
            f"{capacity:.1f}/s can be answered, {offered:.0f}/s asked for during {seconds:.0f} s, "
            f"{len(tally.done)} answered; {watch.note()}"
        )
        yield Row(f"{TIMES} times the capacity", tally, tally.refused, note=note, problem=watch.problem())


class Watch:
    """Asks each process for its health, and looks at its memory, ten times a second."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes
        self._end = threading.Event()
        self._seconds: list[float] = []
        self._unanswered: Counter[str] = Counter()
        self._before = {one.name: one.resident() for one in processes}
        self._most = dict(self._before)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Watch":
        self._threads = in_threads(self._look, len(self._processes))
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _look(self, number: int) -> None:
        one = self._processes[number]
        with open_channel(one.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not self._end.wait(0.1):
                started = time.monotonic()
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
                except grpc.RpcError as error:
                    self._unanswered[f"{one.name}: {error.code().name} {error.details()}"] += 1
                self._seconds.append(time.monotonic() - started)
                self._most[one.name] = max(self._most[one.name], one.resident())

    def note(self) -> str:
        p99 = float(np.quantile(self._seconds, 0.99)) * 1000
        memory = ", ".join(f"{name} {self._before[name]:.0f} to {most:.0f}" for name, most in self._most.items())
        return f"{len(self._seconds)} health checks, p99 {p99:.0f} ms; MiB resident: {memory}"

    def problem(self) -> str:
        return "; ".join(f"{count}x health of {what}" for what, count in self._unanswered.items())


def crowd(arguments: argparse.Namespace) -> Iterator[Row]:
    """Very many requests at once, from one caller."""
    with Cluster(1, seconds=0.01) as cluster:
        load = Load(cluster.pipeline.address)
        tally = Tally()
        service = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"]
        with Watch(cluster.all) as watch, open_channel(load.address) as channel:
            stub, calls = Stub(channel, service), []
            started = time.monotonic()
            for number in range(arguments.crowd):
                payloads = Payloads()
                image = image_pb2.Image(encoded=payloads.put(load.files[number % len(load.files)]))
                request = pipeline_pb2.ProcessRequest(image=image, no_cache=True)
                calls.append(stub.Process(Packet(request, payloads), timeout=300))
            for call in calls:
                tally.requests += 1
                try:
                    events = [response.message.WhichOneof("event") for response in map(readable, call)]
                except grpc.RpcError as error:
                    fault = from_error(error).fault
                    if fault.code == fault_pb2.CODE_RESOURCE_EXHAUSTED and fault.HasField("retry_after"):
                        tally.refused += 1
                    else:
                        tally.lost += 1
                        tally.reasons[f"{fault.code} {fault.message[:100]}"] += 1
                else:
                    good = events[-1:] == ["summary"] and events.count("object") == 2
                    tally.wrong += not good
                    tally.done.append(time.monotonic())
                tally.slowest = time.monotonic() - started
        with PipelineClient(load.address, retry=False) as client:
            at, after = time.monotonic(), Tally()
            load.one(client, 0, after)
        problem = watch.problem() or ("" if after.done else f"the next request failed: {after.reasons}")
        note = f"{len(tally.done)} answered; {watch.note()}"
        yield Row(
            f"{arguments.crowd:,} simultaneous requests", tally, tally.refused, time.monotonic() - at, note, problem
        )


def callers(arguments: argparse.Namespace) -> Iterator[Row]:
    """Callers who read slowly, and who vanish."""
    with Cluster(1) as cluster:
        load = Load(cluster.pipeline.address)
        events: list[object] = []

        def read() -> None:
            with PipelineClient(load.address, retry=False) as client:
                for event in client.process(load.files[0], **load.request):
                    events.append(event)
                    time.sleep(arguments.reader_seconds)

        slow = threading.Thread(target=read, daemon=True)
        slow.start()
        with load.running(2) as tally:
            slow.join()
        problem = "" if events and isinstance(events[-1], Summary) else f"it got {len(events)} events"
        fault = f"a caller that reads one event in {arguments.reader_seconds:.0f} s"
        yield Row(fault, tally, note="beside two others", problem=problem)
    with contextlib.ExitStack() as stack:
        network: Namespace | None = None
        try:
            network = stack.enter_context(Namespace())
        except (OSError, subprocess.CalledProcessError):
            yield Row("callers lose the network", Tally(), note="skipped; no network namespaces here")
        host = network.near if network else "127.0.0.1"
        cluster = stack.enter_context(Cluster(1, seconds=1.0, host=host, pipeline_env={"TENSORHOP_MAX_CALLS": "2"}))
        yield vanishing("are killed", cluster, [])
        if network:
            yield vanishing("lose the network", cluster, network.prefix, network)


VANISHING = """
import sys
from pathlib import Path
from tensorhop.client.cutouts.pipeline import PipelineClient
with PipelineClient(sys.argv[1], retry=False) as client:
    for event in client.process(Path(sys.argv[2]), boxes=[(0, 0, 50, 50)] * 200, cache=False):
        print("event", flush=True)
"""


def vanishing(how: str, cluster: Cluster, prefix: list[str], network: Namespace | None = None) -> Row:
    """Two callers take all the room there is, for minutes of work, and go; the next must get in."""
    command = [*prefix, sys.executable, "-c", VANISHING, cluster.pipeline.address, str(PHOTOS / "coffee.jpg")]
    environment = cluster.pipeline.env
    gone = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)
    ]
    tally = Tally()
    try:
        for one in gone:
            assert one.stdout is not None
            one.stdout.readline()
        if network is None:
            for one in gone:
                one.kill()
        else:
            network.cut()
        at = time.monotonic()
        with PipelineClient(cluster.pipeline.address, retry=False) as client:
            while not tally.done and time.monotonic() < at + 60:
                try:
                    events = list(client.process(PHOTOS / "cat.jpg", boxes=[(0, 0, 50, 50)], cache=False, timeout=30))
                    assert any(isinstance(event, ObjectResult) for event in events), events
                    tally.done.append(time.monotonic())
                except ServiceFault as error:
                    if not error.fault.HasField("retry_after"):
                        raise
                    tally.refused += 1
                    time.sleep(0.2)
                tally.requests += 1
    finally:
        for one in gone:
            one.kill()
            one.communicate()
    problem = "" if tally.done else "their work goes on after a minute"
    return Row(
        f"callers that {how}", tally, tally.refused, tally.recovered(at), "the next caller takes their place", problem
    )


def sizes(arguments: argparse.Namespace) -> Iterator[Row]:
    """As many boxes as are allowed, and a photo of 48 megapixels."""
    with Cluster(1, seconds=0.0) as cluster:
        small = resized(PHOTOS / "coffee.jpg", (160, 160))
        boxes: list[Place] = [(x, y, x + 40, y + 40) for y in range(0, 50, 2) for x in range(0, 100, 5)]
        yield large(cluster, f"{len(boxes)} boxes for one photo", small, boxes)
        coffee = decode_image((PHOTOS / "coffee.jpg").read_bytes())  # 400 x 600
        yield large(
            cluster, "a photo of 48 megapixels", np.tile(coffee, (15, 14, 1))[:, :8000], [(500, 500, 3500, 4500)]
        )


def large(cluster: Cluster, what: str, image: np.ndarray | bytes, boxes: list[Place]) -> Row:
    tally = Tally(requests=1)
    with Watch(cluster.all) as watch, PipelineClient(cluster.pipeline.address, retry=False) as client:
        started = time.monotonic()
        events = list(client.process(image, boxes=boxes, cache=False))
        tally.slowest = time.monotonic() - started
    for event in events:
        if isinstance(event, ObjectFault):
            tally.lost += 1
            tally.reasons[f"{event.step} {event.code}: {event.message[:100]}"] += 1
    found = [event for event in events if isinstance(event, ObjectResult)]
    tally.wrong = len(boxes) - tally.lost - len({event.detection.index for event in found})
    return Row(what, tally, note=f"{len(found)} cut-outs; {watch.note()}", problem=watch.problem())

"""Hostile requests to every service: none may crash, hang, or fail by anything but a status that names the mistake.

    python tools/fuzz.py --count 100000
    python tools/fuzz.py --count 500 --models embedded --deadline 120

The services run in a process of their own. A case that is found can be sent again: --seed S --only NUMBER.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import hostile_oip
import numpy as np
from hostile import METHODS, Hostile

from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.jobs.service import SERVICE as JOBS
from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.v1 import (
    fault_pb2,
    info_pb2,
    interpolate_pb2,
    pipeline_pb2,
    postprocess_pb2,
    preprocess_pb2,
    quality_pb2,
    segment_pb2,
    upscale_pb2,
    views_pb2,
)
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Description, Detection, Mask

SERVERS = [name for name in services() if name != JOBS.name]  # jobs keep what they are sent
SMALL = {
    "TENSORHOP_OIP_SHM": "true",
    "TENSORHOP_MAX_PIXELS": "1000000",
    "TENSORHOP_MAX_CANVAS_SIDE": "512",
    "TENSORHOP_MAX_CALLS": "16",
}
NEVER = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "DATA_LOSS"}
PER_ITEM: dict[str, Any] = {  # the answer of a method that answers each item with a result or a fault
    "Segment": segment_pb2.SegmentResponse,
    "Upscale": upscale_pb2.UpscaleResponse,
    "Score": quality_pb2.ScoreResponse,
    "Preprocess": preprocess_pb2.PreprocessResponse,
    "Interpolate": interpolate_pb2.InterpolateResponse,
}
EVENTS: dict[str, Any] = {  # of the chains
    "/tensorhop.v1.PipelineService/Process": pipeline_pb2.ProcessResponse,
    "/tensorhop.v1.ViewsService/Process": views_pb2.ViewsServiceProcessResponse,
}
HOST = "127.0.0.1:0"
AT_ONCE = 6


class Instant:
    """A model that answers at once, and the same always."""

    name, revision, digest, largest_batch = "instant", "1", "0", 8

    def __init__(self, step: str) -> None:
        self.predict = getattr(self, step)

    def describe(self, images, options):
        return [Description("cup", 0.9, Region.of(size_of(image))) for image in images]

    def detect(self, images, phrases, score_threshold=None, iou_threshold=None):
        boxes = [Box(*Region.of(size_of(image))) for image in images]
        return [([Detection(0, words[0], 0, 0.9, box)], []) for box, words in zip(boxes, phrases, strict=True)]

    def segment(self, images, boxes):
        regions = [Region.of(size_of(image)) for image in images]
        return [Mask(np.full((region.y1, region.x1), 255, np.uint8), region) for region in regions]


@contextlib.contextmanager
def instant() -> Iterator[dict[str, Server]]:
    """The services, with models that answer at once; postprocess is as it is."""
    servers = {}
    for name, service in services().items():
        if name in SERVERS and not service.calls:
            played = hasattr(Instant, name)
            servers[name] = Server(service, service.make_servicer(Instant(name)) if played else service.load(), HOST)
    connected = []
    for name, chain in services().items():
        if chain.calls:
            steps = Steps.connect(chain, {step: servers[step].address for step in chain.calls})
            servers[name] = Server(chain, chain.make_servicer(steps), HOST)
            connected.append(steps)
    try:
        yield servers
    finally:
        for server in servers.values():
            server.stop(0).wait()
        for steps in connected:
            steps.close()


def serve(models: str) -> None:
    """What the child does: tell the addresses, and serve until nobody writes to it any more."""
    running = instant() if models == "instant" else one_process(dict.fromkeys(SERVERS, HOST))
    with running as servers:
        print(*(servers[name].address for name in SERVERS), flush=True)
        sys.stdin.read()


class Target:
    """The services under fire, by the path of each method."""

    def __init__(self, addresses: Mapping[str, str], deadline: float) -> None:
        self._deadline = deadline
        self._channels = {name: open_channel(address) for name, address in addresses.items()}
        owners = {f"/{service.descriptor.full_name}/": name for name, service in services().items()}
        self._calls: dict[str, Callable[..., Any]] = {}
        for path, (_, streams) in METHODS.items():
            method, _, name = path.partition("@")
            name = name or next((name for start, name in owners.items() if path.startswith(start)), PIPELINE.name)
            channel: Any = self._channels[name]
            if method == hostile_oip.STREAM:
                self._calls[path] = in_a_stream(channel.stream_stream(method))
            else:
                self._calls[path] = (channel.unary_stream if streams else channel.unary_unary)(method)

    def send(self, path: str, data: bytes) -> tuple[str, str, list[bytes]]:
        """The status, its details, and the answers; the worst fault in an answer counts as the status."""
        call, answers = self._calls[path], []
        try:
            answer = call(data, timeout=self._deadline)
            answers = list(answer) if METHODS[path][1] else [answer]
        except grpc.RpcError as error:
            return error.code().name, error.details() or "", answers
        for name, message in hostile_oip.codes(path, answers) if "@" in path else ():
            if name in NEVER:
                return name, f"in an answer: {message}", answers
        for fault in faults(path, answers):
            name = fault_pb2.Code.Name(fault.code).removeprefix("CODE_")
            if name in NEVER:
                return name, f"of an object: {fault.message}", answers
        return "OK", "", answers

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()


def in_a_stream(method: Any) -> Callable[..., Any]:
    """A method that takes a stream, for one request."""
    return lambda data, timeout: method(iter([data]), timeout=timeout)


def faults(path: str, answers: list[bytes]) -> Iterator[fault_pb2.Fault]:
    if path.endswith("/Process"):
        for event in map(EVENTS[path].FromString, answers):
            if event.HasField("fault"):
                yield event.fault.fault
    elif kind := PER_ITEM.get(path.rpartition("/")[2]):
        for answer in map(kind.FromString, answers):
            if answer.HasField("fault"):
                yield answer.fault


def digest(path: str, answers: list[bytes]) -> str:
    """Of what an answer says, without times and ids."""
    hasher = hashlib.sha256()
    for data in answers:
        if "@" in path:
            data = hostile_oip.without_times(path, data)
        elif path.endswith("/Process"):
            event = EVENTS[path].FromString(data)
            event.ClearField("request_id")
            if "object" in event.DESCRIPTOR.fields_by_name:
                event.object.seconds = 0
            if event.HasField("summary"):
                event.summary.seconds = 0
                for step in event.summary.steps:
                    step.seconds = 0
            data = event.SerializeToString(deterministic=True)
        elif path.endswith("/GetInfo"):  # the rest is what happened since
            answer = info_pb2.GetInfoResponse.FromString(data)
            data = info_pb2.GetInfoResponse(service=answer.service, model=answer.model).SerializeToString()
        elif path.endswith("/Postprocess"):
            data = postprocess_pb2.PostprocessResponse.FromString(data).SerializeToString(deterministic=True)
        hasher.update(data)
    return hasher.hexdigest()


def good(target: Target, hostile: Hostile) -> dict[str, str]:
    """What each method answers to its first good request."""
    found = {}
    for path, requests in hostile.valid.items():
        status, details, answers = target.send(path, requests[0].SerializeToString())
        found[path] = digest(path, answers) if status == "OK" else f"{status}: {details}"
    return found


def attack(target: Target, hostile: Hostile, numbers: range) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Send the cases; how many ended in which status by method, and what must not have happened."""
    tally: Counter[tuple[str, str]] = Counter()
    found: list[str] = []

    def one(number: int) -> None:
        path, change, data = hostile.case(number)
        status, details, _ = target.send(path, data)
        tally[path.rpartition("/")[2], status] += 1
        if status in NEVER:
            found.append(f"case {number}, {path} ({change}, {len(data)} bytes): {status}: {details:.300}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(one, numbers):
            pass
    return tally, found


@contextlib.contextmanager
def child(models: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The services in a process of their own, and their addresses."""
    root = Path(__file__).parent.parent
    environment = {**SMALL, **os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, __file__, "--serve", "--models", models]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        yield process, dict(zip(SERVERS, process.stdout.readline().split(), strict=True))
        assert process.stdin is not None
        process.stdin.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--models", choices=("instant", "embedded"), default="instant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one case, by its number")
    parser.add_argument("--deadline", type=float, default=30.0, help="seconds that an answer may take")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.models)
        return 0
    hostile = Hostile(options.seed)
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    with child(options.models) as (process, addresses):
        target = Target(addresses, options.deadline)
        before = good(target, hostile)
        started = time.monotonic()
        tally, found = attack(target, hostile, numbers)
        seconds = time.monotonic() - started
        found += [
            f"{path} answers differently now" for path, said in good(target, hostile).items() if said != before[path]
        ]
        found += [f"{path} did not answer a good request: {said}" for path, said in before.items() if ":" in said]
        if process.poll() is not None:
            found.append(f"the services ended with code {process.returncode}")
        target.close()
    for (method, status), count in sorted(tally.items()):
        print(f"{method:<28} {status:<20} {count:>7,}")
    print(f"{sum(tally.values()):,} requests in {seconds:.0f} s, {options.models} models, seed {options.seed}")
    print(
        "\n".join(found)
        or "nothing found: no crash, no hang, no INTERNAL or UNKNOWN; good requests are answered as before"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Services of the chain of views that answer at once, and fail as a script says, each on a real socket."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.views.service import SERVICE
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.v1 import (
    camera_pb2,
    describe_pb2,
    fault_pb2,
    interpolate_pb2,
    preprocess_pb2,
    quality_pb2,
    upscale_pb2,
)
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_tensor


@dataclass
class Script:
    """What the services do, and what they were asked."""

    calls: Counter[str] = field(default_factory=Counter)  # by service
    requests: list[Any] = field(default_factory=list)  # messages
    scores: dict[int, float | None] = field(default_factory=dict)  # by interval; 0.9 if it says nothing
    breaks: Counter[str] = field(default_factory=Counter)  # how often a service still breaks, after one answer
    fails: dict[str, fault_pb2.Fault] = field(default_factory=dict)  # by service: a fault for each item
    pause: threading.Event = field(default_factory=threading.Event)  # what upscale waits for
    under_way: int = 0
    most: int = 0  # calls of upscale at once
    lock: threading.Lock = field(default_factory=threading.Lock)

    def called(self, service: str, message: Any) -> None:
        with self.lock:
            self.calls[service] += 1
            self.requests.append(message)


def pixels(width: int, height: int, *values: int) -> np.ndarray:
    """A picture of one colour."""
    return np.broadcast_to(np.array((*values, 0, 0, 0)[:3], np.uint8), (height, width, 3)).copy()


class Fake:
    """A servicer of every service of the chain. A pair is of the colour (interval, panorama, 0)."""

    def __init__(self, name: str, script: Script) -> None:
        self.name, self.script = name, script
        if name in ("describe", "quality", "upscale"):
            self.model = Named(name)

    def _outcomes(self, packet: Packet[Any]) -> tuple[bool, fault_pb2.Fault | None]:
        self.script.called(self.name, packet.message)
        with self.script.lock:
            broken = self.script.breaks[self.name] > 0
            self.script.breaks[self.name] -= broken
        return broken, self.script.fails.get(self.name)

    def Preprocess(self, packet: Packet[Any], context: grpc.ServicerContext) -> Iterator[Packet[Any]]:
        request, payloads = packet
        broken, fault = self._outcomes(packet)
        answer = Payloads.lent(request.lent)
        for index, panorama in enumerate(request.panoramas):
            read_image(panorama, payloads)
            for interval in list(request.intervals) or [one.interval for one in request.cameras]:
                cameras = camera_pb2.CameraPair(left=camera_pb2.Camera(yaw=interval, vfov=90), right=RIGHT)
                found = preprocess_pb2.PreprocessResponse(interval=interval, panorama=index, cameras=cameras)
                if fault:
                    found.fault.CopyFrom(fault)
                else:
                    pair = pixels(2 * request.view.width, request.view.height, interval, index)
                    found.pair.CopyFrom(to_tensor(pair, answer))
                yield Packet(found, answer)
                if broken:
                    raise ConnectionError("broken")

    def Score(self, packet: Packet[Any], context: grpc.ServicerContext) -> Iterator[Packet[Any]]:
        request, payloads = packet
        _, fault = self._outcomes(packet)
        for index, image in enumerate(request.images):
            interval = int(read_image(image, payloads)[0, 0, 0])
            score = self.script.scores.get(interval, 0.9)
            quality = quality_pb2.Quality(scored=score is not None, score=score or 0, text="as it is")
            found = quality_pb2.ScoreResponse(index=index, fault=fault) if fault else None
            yield Packet(found or quality_pb2.ScoreResponse(index=index, quality=quality), Payloads())

    def Describe(self, packet: Packet[Any], context: grpc.ServicerContext) -> Packet[Any]:
        self._outcomes(packet)
        shown = read_image(packet.message.image, packet.payloads)
        if "describe" in self.script.fails:
            raise InvalidInput("image", "is of no use")
        return Packet(describe_pb2.DescribeResponse(text=f"view {shown[0, 0, 0]}", score=0.5), Payloads())

    def Interpolate(self, packet: Packet[Any], context: grpc.ServicerContext) -> Iterator[Packet[Any]]:
        request, payloads = packet
        broken, fault = self._outcomes(packet)
        answer = Payloads.lent(request.lent)
        for index, panorama in enumerate(request.panoramas):
            read_image(panorama, payloads)
            for weight in range(1, request.views + 1):
                found = interpolate_pb2.InterpolateResponse(panorama=index, weight_idx=weight, camera=RIGHT)
                if fault and weight == 1:
                    found.fault.CopyFrom(fault)
                else:
                    yaw = int(request.cameras[index].left.yaw)
                    view = pixels(request.view.width, request.view.height, yaw, index, weight)
                    found.view.CopyFrom(to_tensor(view, answer))
                yield Packet(found, answer)
                if broken:
                    raise ConnectionError("broken")

    def Upscale(self, packet: Packet[Any], context: grpc.ServicerContext) -> Iterator[Packet[Any]]:
        request, payloads = packet
        _, fault = self._outcomes(packet)
        with self.script.lock:
            self.script.under_way += 1
            self.script.most = max(self.script.most, self.script.under_way)
        try:
            while not self.script.pause.wait(0.05) and context.is_active():
                pass
            for index, image in enumerate(request.images):
                answer = Payloads.lent(request.lent)
                shown = read_image(image, payloads)
                if fault and shown[0, 0, 2] == 1:
                    yield Packet(upscale_pb2.UpscaleResponse(index=index, fault=fault), answer)
                    continue
                large = shown.repeat(request.scale, axis=0).repeat(request.scale, axis=1)
                yield Packet(upscale_pb2.UpscaleResponse(index=index, image=to_tensor(large, answer)), answer)
        finally:
            with self.script.lock:
                self.script.under_way -= 1


@dataclass
class Named:
    """The model that a service says it runs."""

    name: str
    revision: str = "1"
    digest: str = "d"
    largest_batch: int = 1


RIGHT = camera_pb2.Camera(yaw=1, pitch=2, roll=3, vfov=90, xi=0.5)


@contextmanager
def fake_chain(script: Script, **settings: Any) -> Iterator[Server]:
    """The chain's own server, with services that do what the script says."""
    with ExitStack() as stack:
        addresses = {}
        for name in SERVICE.calls:
            server = Server(services()[name], Fake(name, script), "127.0.0.1:0")
            stack.callback(lambda server=server: server.stop(0).wait())
            addresses[name] = server.address
        steps = Steps.connect(SERVICE, addresses, settings=Settings(**settings))
        stack.callback(steps.close)
        front = Server(SERVICE, SERVICE.make_servicer(steps), "127.0.0.1:0")
        stack.callback(lambda: front.stop(0.5).wait())
        yield front

"""The chain's services as functions: a call each, from plain values to plain values, through the step cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.sent_images import SentImages
from tensorhop.orchestrator.chain.step_cache import canonical
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.views.request import ViewsRequest
from tensorhop.v1 import (
    camera_pb2,
    fault_pb2,
    interpolate_pb2,
    preprocess_pb2,
    quality_pb2,
    tensor_pb2,
    upscale_pb2,
)
from tensorhop.wire.codec import Packet, decode, encode
from tensorhop.wire.image_source import read_pixels
from tensorhop.wire.messages import write_size
from tensorhop.wire.payloads import ALIGNMENT, Payloads
from tensorhop.wire.shared_memory import Loan
from tensorhop.wire.tensor import to_tensor


@dataclass(frozen=True)
class Pair:
    """A pair of views of one panorama."""

    cameras: camera_pb2.CameraPair
    pixels: np.ndarray  # uint8, height x 2 width x 3: the left view beside the right one

    @property
    def right(self) -> np.ndarray:
        return np.ascontiguousarray(self.pixels[:, self.pixels.shape[1] // 2 :])


@dataclass(frozen=True)
class View:
    """A view between left and right."""

    camera: camera_pb2.Camera
    pixels: np.ndarray  # uint8, height x width x 3


def preprocess(
    request: ViewsRequest, interval: int, steps: Steps, scope: RequestScope
) -> Iterator[tuple[int, Pair | fault_pb2.Fault]]:
    """The pair, or fault, of each panorama, by its index."""
    step, missing = steps["preprocess"], set(range(request.count))
    given = request.cameras.get(interval)
    with scope.loan() as slots:

        def build(shared: bool) -> Packet[Any]:
            panoramas, payloads = request.panoramas.message(shared)
            message = preprocess_pb2.PreprocessRequest(
                panoramas=panoramas,
                seed=None if given else request.seed,
                intervals=[] if given else [interval],
                cameras=[given] if given else [],
                view=write_size(request.view),
                any_ratio=request.any_ratio,
            )
            return lending(message, payloads, slots, len(missing), 2 * view_bytes(request))

        def attempt() -> Iterator[tuple[int, Pair | fault_pb2.Fault]]:
            for answer, payloads in step.stream("Preprocess", build, scope, interval=interval):
                if answer.panorama not in missing:
                    continue  # a stream that broke brought it already
                missing.remove(answer.panorama)
                if answer.HasField("fault"):
                    yield answer.panorama, answer.fault
                else:
                    yield answer.panorama, Pair(answer.cameras, pixels_of(answer.pair, payloads, "pair"))

        yield from step.retry.stream(attempt, scope)


def score(request: ViewsRequest, pair: np.ndarray, steps: Steps, scope: RequestScope) -> quality_pb2.Quality:
    """How good a pair is. Raises ServiceFault: the call failed, or the service could not score this pair."""
    step = steps["quality"]

    def ask() -> quality_pb2.ScoreResponse:
        with scope.loan() as slots:
            sent = SentImages([pair], slots)

            def build(shared: bool) -> Packet[Any]:
                images, payloads = sent.message(shared)
                return Packet(quality_pb2.ScoreRequest(images=images, pairs=True), payloads)

            return answered(step.call("Score", build, scope)).message  # type: ignore[no-any-return]

    answer = request.cache_of(pair).message(step, [b"pairs"], quality_pb2.ScoreResponse, ask)
    return answer.quality


def interpolate(
    request: ViewsRequest, interval: int, pairs: dict[int, Pair], steps: Steps, scope: RequestScope
) -> Iterator[tuple[tuple[int, int], View | fault_pb2.Fault]]:
    """The views, or faults, between each panorama's pair, by the panorama's index and the view's weight."""
    step, missing = steps["interpolate"], set(views_of(request))
    with scope.loan() as slots:

        def build(shared: bool) -> Packet[Any]:
            panoramas, payloads = request.panoramas.message(shared)
            message = interpolate_pb2.InterpolateRequest(
                panoramas=panoramas,
                cameras=[pairs[index].cameras for index in range(request.count)],
                views=request.views,
                view=write_size(request.view),
                any_ratio=request.any_ratio,
            )
            return lending(message, payloads, slots, request.count * request.views, view_bytes(request))

        def attempt() -> Iterator[tuple[tuple[int, int], View | fault_pb2.Fault]]:
            for answer, payloads in step.stream("Interpolate", build, scope, interval=interval):
                key = answer.panorama, answer.weight_idx
                if key not in missing:
                    continue  # a stream that broke brought it already
                missing.remove(key)
                if answer.HasField("fault"):
                    yield key, answer.fault
                else:
                    yield key, View(answer.camera, pixels_of(answer.view, payloads, "view"))

        yield from step.retry.stream(attempt, scope)


def upscale(request: ViewsRequest, view: np.ndarray, prompt: str, steps: Steps, scope: RequestScope) -> np.ndarray:
    """A view, enlarged: uint8, height x width x 3. Raises ServiceFault: as `score` does."""
    step = steps["upscale"]
    options = upscale_pb2.UpscaleRequest(scale=request.scale, prompt=prompt, seed=request.noise)

    def ask() -> np.ndarray:
        with scope.loan() as slots:
            sent = SentImages([view], slots)

            def build(shared: bool) -> Packet[Any]:
                images, payloads = sent.message(shared)
                message = upscale_pb2.UpscaleRequest(images=images)
                message.MergeFrom(options)
                return lending(message, payloads, slots, 1, request.scale**2 * view.nbytes)

            answer, payloads = answered(step.call("Upscale", build, scope))
            return pixels_of(answer.image, payloads, "image")

    return request.cache_of(view).answer(step, [canonical(options)], ask, write, read)


def views_of(request: ViewsRequest) -> list[tuple[int, int]]:
    """The views of one interval: the panorama's index, and the weight, from 1."""
    return [(panorama, index) for panorama in range(request.count) for index in range(1, request.views + 1)]


def view_bytes(request: ViewsRequest) -> int:
    return 3 * request.view.width * request.view.height


def lending(message: Any, payloads: Payloads, slots: Loan, pictures: int, size: int) -> Packet[Any]:
    """A request that lends a slot for so many pictures of so many bytes, if its own pictures are in one."""
    if payloads.slots:
        message.lent.extend(payloads.lend(slots.borrow(pictures * (size + ALIGNMENT))))
    return Packet(message, payloads)


def answered(packet: Packet[Any]) -> Packet[Any]:
    """The answer about one item. Raises ServiceFault: it is a fault."""
    if packet.message.HasField("fault"):
        raise ServiceFault(packet.message.fault)
    return packet


def pixels_of(tensor: tensor_pb2.Tensor, payloads: Payloads, field: str) -> np.ndarray:
    """The pixels of an answer: a copy, since the slot that they lie in is lent again."""
    return read_pixels(tensor, payloads, field).copy()


def write(picture: np.ndarray) -> bytes:
    """A picture as an entry of the cache."""
    payloads = Payloads()
    return encode(Packet(to_tensor(picture, payloads), payloads))


def read(value: bytes) -> np.ndarray:
    """The picture of an entry. Raises InvalidInput: it is none."""
    return read_pixels(*decode(tensor_pb2.Tensor, value), "image")

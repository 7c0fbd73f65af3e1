"""What the chain of views answers, as plain values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorhop.client.cutouts.events import read_step
from tensorhop.errors import code_name, service_of
from tensorhop.v1 import camera_pb2, views_pb2
from tensorhop.values.panoramas import Camera, CameraPair
from tensorhop.values.results import StepSummary
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


@dataclass(frozen=True)
class PairResult:
    """The left view beside the right one."""

    interval: int  # 1 to 8
    panorama: int  # 0, or 1 for the second
    cameras: CameraPair
    pixels: np.ndarray | None  # uint8, height x 2 width x 3, RGB; None if a file was asked for
    file: bytes | None  # the picture as an image file, if one was asked for


@dataclass(frozen=True)
class PairScore:
    """How good a pair is."""

    interval: int
    panorama: int
    score: float | None  # 0 (worst) to 1 (best); None if the model gave none
    text: str  # what the model said, as it said it
    scores: dict[str, float]  # further scores by name


@dataclass(frozen=True)
class IntervalDecision:
    """Whether an interval goes on."""

    interval: int
    kept: bool
    score: float | None  # the least over the panoramas; None if one has none, or quality was skipped


@dataclass(frozen=True)
class ViewDescription:
    """What the right view of the first panorama shows."""

    interval: int
    text: str
    score: float  # confidence, 0 to 1


@dataclass(frozen=True)
class ViewResult:
    """A view between left and right, as it was cropped, or enlarged."""

    interval: int
    panorama: int
    weight_idx: int  # from 1, next to the left view
    camera: Camera
    scale: int  # by how much it is enlarged: 1, 2 or 4
    pixels: np.ndarray | None  # uint8, height x width x 3, RGB; None if a file was asked for
    file: bytes | None  # the picture as an image file, if one was asked for


@dataclass(frozen=True)
class ViewFault:
    """One step that failed for one item."""

    interval: int
    panorama: int
    weight_idx: int  # 0 if it is about no single view
    step: str  # the service that failed, such as "upscale"
    code: str  # a gRPC status code, such as "INVALID_ARGUMENT"
    field: str  # the field at fault, or ""
    message: str
    retryable: bool


@dataclass(frozen=True)
class ViewsSummary:
    """The end of a request."""

    intervals: int
    kept: int
    views: int  # each once
    upscaled: int  # of the views
    faults: int
    seconds: float
    steps: list[StepSummary]


ViewsEvent = PairResult | PairScore | IntervalDecision | ViewDescription | ViewResult | ViewFault | ViewsSummary


def _camera(message: camera_pb2.Camera) -> Camera:
    return Camera(message.yaw, message.pitch, message.roll, message.vfov, message.xi)


def _picture(picture: Any, payloads: Payloads) -> dict[str, Any]:
    """The fields `pixels` and `file` of a picture."""
    return {
        "pixels": to_array(picture.tensor, payloads, "tensor") if picture.HasField("tensor") else None,
        "file": bytes(payloads.get(picture.encoded)) if picture.HasField("encoded") else None,
    }


def _read_pair(message: views_pb2.PairResult, payloads: Payloads) -> PairResult:
    cameras = CameraPair(_camera(message.cameras.left), _camera(message.cameras.right))
    return PairResult(message.interval, message.panorama, cameras, **_picture(message.pair, payloads))


def _read_score(message: views_pb2.PairScore, payloads: Payloads) -> PairScore:
    quality = message.quality
    score = quality.score if quality.scored else None
    return PairScore(message.interval, message.panorama, score, quality.text, dict(quality.scores))


def _read_decision(message: views_pb2.IntervalDecision, payloads: Payloads) -> IntervalDecision:
    return IntervalDecision(message.interval, message.kept, message.score if message.HasField("score") else None)


def _read_view(message: views_pb2.ViewResult, payloads: Payloads) -> ViewResult:
    return ViewResult(
        interval=message.interval,
        panorama=message.panorama,
        weight_idx=message.weight_idx,
        camera=_camera(message.camera),
        scale=message.scale,
        **_picture(message.view, payloads),
    )


def _read_fault(message: views_pb2.ViewFault, payloads: Payloads) -> ViewFault:
    fault = message.fault
    return ViewFault(
        interval=message.interval,
        panorama=message.panorama,
        weight_idx=message.weight_idx,
        step=service_of(fault),
        code=code_name(fault),
        field=fault.field,
        message=fault.message,
        retryable=fault.retryable,
    )


def _read_summary(message: views_pb2.ViewsSummary, payloads: Payloads) -> ViewsSummary:
    return ViewsSummary(
        intervals=message.intervals,
        kept=message.kept,
        views=message.views,
        upscaled=message.upscaled,
        faults=message.faults,
        seconds=message.seconds,
        steps=[read_step(step) for step in message.steps],
    )


EVENTS: Mapping[str, Callable[..., ViewsEvent]] = {
    "pair": _read_pair,
    "score": _read_score,
    "decision": _read_decision,
    "description": lambda message, payloads: ViewDescription(message.interval, message.text, message.score),
    "view": _read_view,
    "fault": _read_fault,
    "summary": _read_summary,
}


def read_event(packet: Packet[views_pb2.ViewsServiceProcessResponse]) -> ViewsEvent:
    """The event of an answer."""
    name = packet.message.WhichOneof("event")
    return EVENTS[name](getattr(packet.message, name), packet.payloads)

"""One request of the chain, checked before any work is done."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.chain.cache import Cache
from tensorhop.orchestrator.chain.request_fields import read_count
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.sent_images import SentImages
from tensorhop.orchestrator.chain.step_cache import StepCache
from tensorhop.settings import current_settings
from tensorhop.v1 import preprocess_pb2
from tensorhop.v1 import views_pb2 as pb
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output
from tensorhop.values.panoramas import INTERVALS
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import read_encoding
from tensorhop.wire.panorama_messages import (
    MOST_VIEWS,
    VIEWS,
    check_panorama_count,
    read_camera_pair,
    read_panorama_pixels,
    read_view_size,
)
from tensorhop.wire.payloads import Payloads

MIN_SCORE = 0.7
SCALE, SCALES = 2, (1, 2, 4)
MAX_PARALLEL = 4
MAX_DESCRIPTION = 1000  # characters
MOST_PICTURES = 4  # so many times the most pixels of a picture are the most of all views between left and right


@dataclass(frozen=True)
class ViewsRequest:
    """One request, parsed and checked."""

    panoramas: SentImages
    seed: int  # of the cameras that are drawn
    noise: int | None  # the seed that the caller gave, for networks that draw noise
    intervals: Sequence[int]
    cameras: Mapping[int, preprocess_pb2.Interval]  # by interval; empty if they are drawn
    faulty: Mapping[int, InvalidInput]  # by interval, what is wrong with its cameras
    view: Size
    any_ratio: bool
    min_score: float
    views: int
    scale: int
    descriptions: Mapping[int, str]  # by interval
    describes: bool
    max_parallel: int
    output: Output
    cache: Cache | None
    scope: RequestScope

    @property
    def count(self) -> int:
        """How many panoramas there are."""
        return len(self.panoramas.pictures)

    def cache_of(self, picture: np.ndarray) -> StepCache:
        """What is known already of a picture."""
        return StepCache(self.cache, picture, self.scope)


def read_request(
    packet: Packet[pb.ViewsServiceProcessRequest], cache: Cache | None, scope: RequestScope
) -> ViewsRequest:
    """Check a request before any work is done. Raises InvalidInput."""
    request, payloads = packet
    panoramas = read_panoramas(request, payloads)
    intervals, cameras = read_intervals(request)
    view = read_view_size(request.view if request.HasField("view") else None, across=2)
    views = read_count(request, "views", VIEWS, MOST_VIEWS, least=0)
    scale = request.scale if request.HasField("scale") else SCALE
    if scale not in SCALES:
        raise InvalidInput("scale", f"is {scale}; it must be 1, 2 or 4")
    output = Output(read_encoding(request.encoding, "encoding"))
    check_pixels(view, len(panoramas), views, scale)
    output.check_canvas(Size(max(2, scale) * view.width, scale * view.height), "encoding")
    return ViewsRequest(
        panoramas=SentImages(panoramas, scope.slots),
        seed=request.seed if request.HasField("seed") else secrets.randbits(63),
        noise=request.seed if request.HasField("seed") else None,
        intervals=intervals,
        cameras=cameras,
        faulty=find_faulty(request),
        view=view,
        any_ratio=request.any_ratio,
        min_score=read_score(request),
        views=views,
        scale=scale,
        descriptions=read_descriptions(request, intervals),
        describes=not request.no_descriptions,
        max_parallel=read_count(request, "max_parallel", MAX_PARALLEL, current_settings().max_parallel),
        output=output,
        cache=None if request.no_cache else cache,
        scope=scope,
    )


def read_panoramas(request: pb.ViewsServiceProcessRequest, payloads: Payloads) -> list[np.ndarray]:
    """The pixels of the panoramas. Raises InvalidInput: there are too many or none, or one is bad."""
    check_panorama_count(len(request.panoramas))
    return [
        read_panorama_pixels(image, payloads, request.any_ratio, f"panoramas[{index}]")
        for index, image in enumerate(request.panoramas)
    ]


def read_intervals(
    request: pb.ViewsServiceProcessRequest,
) -> tuple[Sequence[int], Mapping[int, preprocess_pb2.Interval]]:
    """Which intervals there are, and their cameras if the caller gave them.

    Raises:
        InvalidInput: both came, one is not from 1 to 8 or comes twice, or has not a pair of cameras for each panorama.
    """
    if request.cameras and request.intervals:
        raise InvalidInput("cameras", "came with intervals; give one or the other")
    given = [(one.interval, f"cameras[{index}].interval") for index, one in enumerate(request.cameras)]
    given = given or [(interval, f"intervals[{index}]") for index, interval in enumerate(request.intervals)]
    seen: set[int] = set()
    for interval, field in given:
        if interval not in INTERVALS:
            raise InvalidInput(field, f"is {interval}; it must be from 1 to {INTERVALS[-1]}")
        if interval in seen:
            raise InvalidInput(field, f"is {interval}, which came before; give each interval once")
        seen.add(interval)
    for index, one in enumerate(request.cameras):
        if len(one.cameras) != len(request.panoramas):
            raise InvalidInput(
                f"cameras[{index}].cameras",
                f"has {len(one.cameras)} entries; give one pair for each panorama, {len(request.panoramas)}",
            )
    return [interval for interval, _ in given] or INTERVALS, {one.interval: one for one in request.cameras}


def find_faulty(request: pb.ViewsServiceProcessRequest) -> dict[int, InvalidInput]:
    """By interval, what is wrong with its cameras. Raises InvalidInput: there is something wrong with each interval."""
    found: dict[int, InvalidInput] = {}
    for index, one in enumerate(request.cameras):
        try:
            for panorama, pair in enumerate(one.cameras):
                read_camera_pair(pair, f"cameras[{index}].cameras[{panorama}]")
        except InvalidInput as error:
            found[one.interval] = error
    if found and len(found) == len(request.cameras):
        raise next(iter(found.values()))
    return found


def read_score(request: pb.ViewsServiceProcessRequest) -> float:
    """The least score of what is kept. Raises InvalidInput: it is not from 0 to 1."""
    if not request.HasField("min_score"):
        return MIN_SCORE
    if not (math.isfinite(request.min_score) and 0 <= request.min_score <= 1):
        raise InvalidInput("min_score", f"is {request.min_score}; it must be from 0 to 1")
    return request.min_score


def read_descriptions(request: pb.ViewsServiceProcessRequest, intervals: Sequence[int]) -> dict[int, str]:
    """What views show, by interval. Raises InvalidInput: a text is empty or too long, or of no interval."""
    for interval, text in request.descriptions.items():
        field = f"descriptions[{interval}]"
        if interval not in intervals:
            raise InvalidInput(field, f"is of no interval of this request, {', '.join(map(str, intervals))}")
        if not text.strip():
            raise InvalidInput(field, "is empty; a description is text")
        if len(text) > MAX_DESCRIPTION:
            raise InvalidInput(field, f"has {len(text)} characters; at most {MAX_DESCRIPTION} are allowed")
    return dict(request.descriptions)


def check_pixels(view: Size, panoramas: int, views: int, scale: int) -> None:
    """Raises InvalidInput: an enlarged view, or all views of an interval together, would have too many pixels."""
    most, pixels = current_settings().max_pixels, view.width * view.height
    if pixels * scale**2 > most:
        raise InvalidInput(
            "scale",
            f"is {scale}, which makes views of {scale * view.width} x {scale * view.height} pixels; "
            f"at most {most:,} pixels are allowed",
        )
    if pixels * panoramas * views > MOST_PICTURES * most:
        raise InvalidInput(
            "views",
            f"is {views}, which makes {pixels * panoramas * views:,} pixels of each interval; "
            f"at most {MOST_PICTURES * most:,} are allowed",
        )

"""The request that ViewsClient sends, from plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorhop.client.inputs import Order, write_picture
from tensorhop.errors import InvalidInput
from tensorhop.v1 import preprocess_pb2, views_pb2
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import ENCODINGS
from tensorhop.values.panoramas import CameraPair
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_size
from tensorhop.wire.panorama_messages import write_camera_pair
from tensorhop.wire.payloads import Payloads


def views_request(
    panorama: Any,
    second: Any = None,
    *,
    order: Order = "rgb",
    seed: int | None = None,
    intervals: Sequence[int] = (),
    cameras: Mapping[int, Sequence[CameraPair]] | None = None,
    size: tuple[int, int] | None = None,
    any_ratio: bool = False,
    min_score: float | None = None,
    views: int | None = None,
    scale: int | None = None,
    descriptions: Mapping[int, str] | None = None,
    describe: bool = True,
    cache: bool = True,
    max_parallel: int | None = None,
    encoding: str = "tensor",
    record: bool = False,
    request_id: str = "",
    timeout: float | None = None,
) -> tuple[Packet[views_pb2.ViewsServiceProcessRequest], float | None]:
    """Crop pairs of views out of panoramas, score and describe them, and yield the views between, enlarged.

    Args:
        panorama: equirectangular pixels (uint8, height x width x 3, RGB), the bytes of an image file, a picture of
            Pillow, or the path of a local file.
        second: a second panorama, of the same kinds.
        order: of the channels of arrays: "rgb", or "bgr" as OpenCV has it.
        seed: makes the cameras that are drawn repeatable: 0 to 2**64 - 1.
        intervals: which of the intervals 1 to 8, of 45 degrees of yaw each. Default: all.
        cameras: by interval, a pair for each panorama, instead of drawn ones.
        size: width and height of a view in pixels. Default 512 x 512.
        any_ratio: take pictures that are not twice as wide as high, too.
        min_score: keep the intervals whose least score is at least this, 0 to 1. Default 0.7; 0 skips quality.
        views: how many views between left and right, 0 to 100. Default 9; 0 skips interpolate.
        scale: how much to enlarge them: 1, 2 or 4. Default 2; 1 skips upscale.
        descriptions: by interval, what its right view shows; skips describe for it.
        describe: whether to describe the other right views.
        cache: use the step cache. Otherwise everything is computed anew.
        max_parallel: how many intervals may be under way at once. Default 4.
        encoding: how pictures are sent: "tensor" as arrays, or as image files, "png", "webp" or "jpeg".
        record: record this request, on a chain that may record (`--record`).
        request_id: the request's id in logs. Default: the chain makes one.
        timeout: seconds for the whole request.

    Returns:
        PairResult, PairScore, IntervalDecision, ViewDescription, ViewResult and ViewFault events, each as soon as it
        is there, and last a ViewsSummary.

    Raises:
        InvalidInput: an input or an option is not allowed.
        ServiceFault: at any event: the whole request failed. Its `fault` has code, field and message.
    """
    if encoding not in ENCODINGS:
        raise InvalidInput("encoding", f"is {encoding!r}; known are {', '.join(ENCODINGS)}")
    if seed is not None and not 0 <= seed < 2**64:
        raise InvalidInput("seed", f"is {seed}; it must be from 0 to 2**64 - 1")
    payloads = Payloads()
    given = [panorama] if second is None else [panorama, second]
    request = views_pb2.ViewsServiceProcessRequest(
        request_id=request_id,
        panoramas=[
            write_picture(one, payloads, order if isinstance(one, np.ndarray) else "rgb", f"panoramas[{index}]")
            for index, one in enumerate(given)
        ],
        seed=seed,
        intervals=intervals,
        cameras=[
            preprocess_pb2.Interval(interval=interval, cameras=[write_camera_pair(CameraPair(*pair)) for pair in pairs])
            for interval, pairs in (cameras or {}).items()
        ],
        view=write_size(Size(*size)) if size is not None else None,
        any_ratio=any_ratio,
        min_score=min_score,
        views=views,
        scale=scale,
        descriptions=descriptions,
        no_descriptions=not describe,
        no_cache=not cache,
        max_parallel=max_parallel,
        encoding=f"ENCODING_{encoding.upper()}",
        record=record,
    )
    return Packet(request, payloads), timeout

"""The requests that clients send, from plain values."""

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from tensorhop.client.inputs import Order, to_phrases, write_given_mask, write_picture
from tensorhop.v1 import pipeline_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box
from tensorhop.values.output_options import Output
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import (
    write_box,
    write_describe,
    write_detect,
    write_finish,
    write_output,
)
from tensorhop.wire.payloads import Payloads

P = ParamSpec("P")
R = TypeVar("R")
Corners = tuple[float, float, float, float]


def process_request(
    image: Any,
    *,
    order: Order = "rgb",
    phrases: str | Sequence[str] = (),
    boxes: Sequence[Box | Corners] = (),
    masks: Sequence[Any] = (),
    max_objects: int | None = None,
    max_parallel: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    merge: bool = False,
    ordered: bool = False,
    cache: bool = True,
    describe: DescribeOptions = DescribeOptions(),  # noqa: B008  (frozen)
    finish: Finish = Finish(),  # noqa: B008  (frozen)
    output: Output = Output("tensor"),  # noqa: B008  (frozen)
    return_masks: bool = False,
    return_layers: bool = False,
    may_grow: bool = False,
    record: bool = False,
    request_id: str = "",
    timeout: float | None = None,
) -> tuple[Packet[pipeline_pb2.ProcessRequest], float | None]:
    """Cut out a photo's objects, and yield each event as it happens.

    Args:
        image: pixels (uint8, height x width x 3, RGB; grey and RGBA are taken too), the bytes of an image file, a
            picture of Pillow, or the path of a local file.
        order: of the channels of an array: "rgb", or "bgr" as OpenCV has it; of the output's background too.
        phrases: what to look for; a text is one phrase. Skips describe. Together with boxes or masks: their labels, one
            each.
        boxes: x0, y0, x1, y1 in pixels of the upright photo. Skips describe and detect.
        masks: arrays of the photo's height x width: bool, uint8 0 to 255 or float32 0 to 1; pictures of Pillow; or
            Mask objects. Skips describe, detect and segment.
        max_objects: how many objects to finish, best first. Default 4.
        max_parallel: how many objects may be in postprocess at once. Default 4.
        score_threshold: the least score of a detection, 0 to 1. Default: the model's.
        iou_threshold: overlap above which the worse of two detections is dropped, 0 to 1. Default: the model's.
        merge: finish all objects as one.
        ordered: yield objects in the order of their index, not as each is done.
        cache: use the step cache. Otherwise everything is computed anew.
        describe: the part of the photo that describe sees, and its prompt and generation if its model supports them.
        finish: how to center, decontaminate and shadow each object.
        output: how to send pictures: as arrays, or encoded as image files; and what lies behind the object.
        return_masks: send each object's mask too: `event.mask.alpha` is an array, `event.mask.region` its place.
        return_layers: send the object and its shadow as separate layers too.
        may_grow: the boxes are a detector's, so a mask may reach beyond its box.
        record: record this request, on a pipeline that may record (`--record`).
        request_id: the request's id in logs. Default: the pipeline makes one.
        timeout: seconds for the whole request.

    Returns:
        At most one Description, one Detections, then an ObjectResult or ObjectFault for each object as soon as it is
        done, in any order, and last a Summary.

    Raises:
        InvalidInput: an input or an option is not allowed.
        ServiceFault: at any event: the whole request failed. Its `fault` has code, field and message.
    """
    describe.check("describe")
    finish.check()
    output.check()
    payloads = Payloads()
    request = pipeline_pb2.ProcessRequest(
        request_id=request_id,
        image=write_picture(image, payloads, order),
        phrases=to_phrases(phrases),
        boxes=[write_box(Box(*box)) for box in boxes],
        masks=[write_given_mask(mask, payloads, f"masks[{index}]") for index, mask in enumerate(masks)],
        max_objects=max_objects,
        max_parallel=max_parallel,
        describe=write_describe(describe),
        detect=write_detect(DetectOptions(score_threshold, iou_threshold)),
        finish=write_finish(finish),
        output=write_output(output),
        merge=merge,
        no_cache=not cache,
        ordered=ordered,
        record=record,
        may_grow=may_grow,
    )
    if output.background_image is not None:
        own = order if isinstance(output.background_image, np.ndarray) else "rgb"
        picture = write_picture(output.background_image, payloads, own, "output.background_image")
        request.output.background_image.CopyFrom(picture)
    request.output.masks, request.output.layers = return_masks, return_layers
    return Packet(request, payloads), timeout


def takes(
    source: Callable[P, Any],
) -> Callable[[Callable[Concatenate[Any, ...], R]], Callable[Concatenate[Any, P], R]]:
    """A method's arguments and documentation are those of a function that it hands them to: stated once."""

    def copy(method: Callable[Concatenate[Any, ...], R]) -> Callable[Concatenate[Any, P], R]:
        import inspect

        signature = inspect.signature(source)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        parameters = [own, *signature.parameters.values()]
        method.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=method.__annotations__.get("return", signature.empty)
        )
        method.__doc__ = method.__doc__ or source.__doc__
        return method

    return copy

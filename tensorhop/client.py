"""PipelineClient: what a Python program imports to have its photos cut out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np

from tensorhop.errors import InvalidInput, service_of
from tensorhop.observe import tracing
from tensorhop.rpc.fairness.callers import caller_metadata
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.security import Security
from tensorhop.rpc.status import from_error
from tensorhop.settings import Settings, current_settings
from tensorhop.v1 import fault_pb2, image_pb2, pipeline_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region
from tensorhop.values.output_options import Output
from tensorhop.values.results import (
    Description,
    Detections,
    Layer,
    Mask,
    ObjectFault,
    ObjectResult,
    StepSummary,
    Summary,
)
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.messages import (
    read_description,
    read_detection,
    read_layer,
    read_placement,
    read_region,
    read_size,
    write_box,
    write_describe,
    write_detect,
    write_finish,
    write_image,
    write_mask,
    write_output,
)
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array

Event = Description | Detections | ObjectResult | ObjectFault | Summary


class PipelineClient:
    """A connection to a pipeline, for as many requests and threads as you like.

        with PipelineClient() as client:
            for event in client.process("photo.jpg", max_objects=2):
                ...

    Args:
        endpoint: "host:port", "unix:/path" or any other name that gRPC resolves.
        security: TLS and token; what `settings` say if not given.
        settings: how large a message may be; what the TENSORHOP_... variables say if not given.

    Raises:
        InvalidInput: a file of `security` cannot be used, or it has a certificate to show and none to trust.
    """

    def __init__(
        self,
        endpoint: str = "localhost:50050",
        *,
        security: Security | None = None,
        settings: Settings | None = None,
    ) -> None:
        service = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"]
        settings = settings or current_settings()
        security = security or Security.of(settings)
        security.check_client()
        self._remote = Remote(endpoint, service, security, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; requests in flight are cancelled."""
        self._remote.close()

    def process(
        self,
        image: np.ndarray | bytes | str | Path,
        *,
        phrases: Sequence[str] = (),
        boxes: Sequence[Box | tuple[float, float, float, float]] = (),
        masks: Sequence[Mask | np.ndarray] = (),
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
        request_id: str = "",
        timeout: float | None = None,
    ) -> "Call":
        """Cut out a photo's objects; the events are iterated over as they happen.

        Args:
            image: pixels (uint8, height x width x 3, sRGB), the bytes of an image file, or the path of one here.
            phrases: what to look for; skips describe. Beside boxes or masks: their labels, one each.
            boxes: x0, y0, x1, y1 in pixels of the upright photo; skips describe and detect.
            masks: uint8 0 to 255 or float32 0 to 1; an array is of the photo's size. Skips describe, detect, segment.
            max_objects: how many objects to finish, best first. Default 4.
            max_parallel: how many objects may be in postprocess at once. Default 4.
            score_threshold: the least score of a detection, 0 to 1. Default: the model's.
            iou_threshold: overlap above which the worse of two detections is dropped, 0 to 1. Default: the model's.
            merge: finish all objects as one.
            ordered: yield objects in the order of their index, not as each is done.
            cache: take and keep intermediate results; otherwise everything is computed anew.
            describe: what describe looks at, and its prompt and generation if its model takes those.
            finish: center, decontaminate, shadow.
            output: how pictures are sent: as arrays, or as files that are ready to be written.
            return_masks: send each object's mask too.
            return_layers: send the object and its shadow as layers of their own too.
            request_id: your name for this request in logs; otherwise the pipeline makes one.
            timeout: seconds for the whole request.

        Returns:
            At most one Description, one Detections, then an ObjectResult or ObjectFault for each object as soon as it
            is done, in any order, and last a Summary.

        Raises:
            InvalidInput: an option asks for what is not allowed.
            ServiceFault: at any event: the request as a whole failed; its `fault` has code, field and message.
        """
        detect = DetectOptions(score_threshold, iou_threshold)
        describe.check("describe")
        finish.check()
        output.check()
        payloads = Payloads()
        request = pipeline_pb2.ProcessRequest(
            request_id=request_id,
            image=_write_source(image, payloads),
            phrases=phrases,
            boxes=[write_box(Box(*box)) for box in boxes],
            masks=[write_mask(_whole(mask), payloads) for mask in masks],
            max_objects=max_objects,
            max_parallel=max_parallel,
            describe=write_describe(describe),
            detect=write_detect(detect),
            finish=write_finish(finish),
            output=write_output(output),
            merge=merge,
            no_cache=not cache,
            ordered=ordered,
        )
        request.output.masks, request.output.layers = return_masks, return_layers
        packet = Packet(request, payloads)
        return Call(
            self._remote.method("Process", packet)(
                packet, timeout=timeout, metadata=[*caller_metadata(), *tracing.carried()]
            )
        )


class Call:
    """The events of one request, as they happen. A caller who leaves early ends the work behind them."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Raises ServiceFault: the request as a whole failed, or was closed."""
        try:
            response, payloads = readable(next(self._call))
        except grpc.RpcError as error:
            raise from_error(error) from error
        except InvalidInput:
            self.close()
            raise
        name = response.WhichOneof("event")
        return EVENTS[name](getattr(response, name), payloads)

    def close(self) -> None:
        """Cancel what is still under way; from any thread, also while another waits for the next event."""
        self._call.cancel()


def _write_source(image: np.ndarray | bytes | str | Path, payloads: Payloads) -> image_pb2.Image:
    if isinstance(image, np.ndarray):
        return write_image(image, payloads)
    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    return image_pb2.Image(encoded=payloads.put(data))


def _whole(mask: Mask | np.ndarray) -> Mask:
    return mask if isinstance(mask, Mask) else Mask(mask, Region(0, 0, mask.shape[1], mask.shape[0]))


def _read_detections(message: pipeline_pb2.Detections, payloads: Payloads) -> Detections:
    return Detections([read_detection(detection) for detection in message.detections], list(message.warnings))


def _read_mask(message: pipeline_pb2.ObjectResult | pipeline_pb2.ObjectFault, payloads: Payloads) -> Mask | None:
    if not message.HasField("mask"):
        return None
    return Mask(to_array(message.mask.alpha, payloads, "mask.alpha"), read_region(message.mask.region))


def _read_result(message: pipeline_pb2.ObjectResult, payloads: Payloads) -> ObjectResult:
    picture = message.picture
    pixels = to_array(picture.tensor, payloads, "picture.tensor") if picture.HasField("tensor") else None
    return ObjectResult(
        detection=read_detection(message.detection),
        picture=None if pixels is None else Layer(pixels, read_region(picture.region)),
        file=bytes(payloads.get(picture.encoded)) if picture.HasField("encoded") else None,
        placement=read_placement(message.placement),
        seconds=message.seconds,
        mask=_read_mask(message, payloads),
        cutout=read_layer(message.cutout, payloads, "cutout") if message.HasField("cutout") else None,
        shadow=read_layer(message.shadow, payloads, "shadow") if message.HasField("shadow") else None,
    )


def _read_fault(message: pipeline_pb2.ObjectFault, payloads: Payloads) -> ObjectFault:
    fault = message.fault
    return ObjectFault(
        detection=read_detection(message.detection),
        step=service_of(fault),
        code=fault_pb2.Code.Name(fault.code).removeprefix("CODE_"),
        field=fault.field,
        message=fault.message,
        retryable=fault.retryable,
        mask=_read_mask(message, payloads),
    )


TRANSPORTS = {
    pipeline_pb2.TRANSPORT_UNSPECIFIED: "",
    pipeline_pb2.TRANSPORT_MESSAGE: "message",
    pipeline_pb2.TRANSPORT_SHARED_MEMORY: "shared_memory",
}


def _read_summary(message: pipeline_pb2.Summary, payloads: Payloads) -> Summary:
    steps = [
        StepSummary(
            step=step.service or fault_pb2.Step.Name(step.step).removeprefix("STEP_").lower(),
            calls=step.calls,
            seconds=step.seconds,
            model=step.model.name,
            revision=step.model.revision,
            digest=step.model.digest,
            transport=TRANSPORTS[step.transport],
            cached=step.cached,
        )
        for step in message.steps
    ]
    return Summary(read_size(message.photo), message.objects, message.faults, message.seconds, steps)


EVENTS: Mapping[str, Callable[..., Event]] = {
    "description": lambda message, payloads: read_description(message),
    "detections": _read_detections,
    "object": _read_result,
    "fault": _read_fault,
    "summary": _read_summary,
}

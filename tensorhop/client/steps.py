"""StepClient: each step of the chain on its own, one call each, without the pipeline."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from tensorhop.client.inputs import Order, pixels_of, to_mask, to_phrases, write_picture
from tensorhop.client.remotes import Remotes
from tensorhop.errors import ServiceFault
from tensorhop.observe import tracing
from tensorhop.rpc.fairness.callers import caller_metadata
from tensorhop.rpc.security import Security, client_security
from tensorhop.rpc.status import from_error
from tensorhop.settings import Settings
from tensorhop.v1 import describe_pb2, detect_pb2, postprocess_pb2, segment_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, size_of
from tensorhop.values.results import Cutout, Description, Detections, Mask
from tensorhop.wire.codec import Packet, readable
from tensorhop.wire.messages import (
    read_description,
    read_detection,
    read_layer,
    read_placement,
    read_region,
    write_box,
    write_describe,
    write_detect,
    write_finish,
    write_image,
    write_mask,
    write_size,
)
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array


class StepClient:
    """Connections to single services, for any number of calls and threads at once. Each is made when it is first used.

        with StepClient() as steps:
            found = steps.detect("photo.jpg", "cat")
            (mask,) = steps.segment("photo.jpg", [found.detections[0].box])
            print(mask.alpha.shape, mask.region)

    Args:
        addresses: by the service's name, such as {"segment": "gpu-1:50053"}. Default: its default port on this machine.
        security: TLS and token. Default: those in `settings`.
        settings: how large a message may be. Default: those in the TENSORHOP_... variables.

    Raises:
        InvalidInput: an address is of no known service, a file of `security` cannot be used, or there is a client
            certificate but no authority to trust.
    """

    def __init__(
        self,
        addresses: Mapping[str, str] | None = None,
        *,
        security: Security | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._remotes = Remotes(addresses or {}, *client_security(security, settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls in flight are cancelled."""
        self._remotes.close()

    def describe(
        self,
        image: Any,
        *,
        order: Order = "rgb",
        options: DescribeOptions = DescribeOptions(),  # noqa: B008  (frozen)
        timeout: float | None = None,
    ) -> Description:
        """What a photo shows.

        Args:
            image: as `PipelineClient.process` takes it.
            order: of the channels of an array: "rgb" or "bgr".
            options: the part of the photo to look at, and how to write about it.
            timeout: seconds for the call.

        Raises:
            InvalidInput: an input or an option is not allowed.
            ServiceFault: the call failed. Its `fault` has code, field and message.
        """
        options.check()
        payloads = Payloads()
        request = describe_pb2.DescribeRequest(
            image=write_picture(image, payloads, order), options=write_describe(options)
        )
        ((answer, _),) = self._call("describe", "Describe", request, payloads, timeout)
        return read_description(answer)

    def detect(
        self,
        image: Any,
        phrases: str | Sequence[str],
        *,
        order: Order = "rgb",
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        masks: bool = False,
        timeout: float | None = None,
    ) -> Detections:
        """Where the objects are that phrases name, best first. Takes and raises what `describe` does, and:

        Args:
            phrases: what to look for; a text is one phrase.
            score_threshold: the least score of a detection, 0 to 1. Default: the model's.
            iou_threshold: overlap above which the worse of two detections is dropped, 0 to 1. Default: the model's.
            masks: answer each detection's `mask` too, if the model makes masks with its boxes. `mask.alpha` is uint8,
                height x width of `mask.region`, its place in the photo.
        """
        payloads = Payloads()
        request = detect_pb2.DetectRequest(
            image=write_picture(image, payloads, order),
            phrases=to_phrases(phrases),
            options=write_detect(DetectOptions(score_threshold, iou_threshold)),
            masks=masks,
        )
        ((answer, received),) = self._call("detect", "Detect", request, payloads, timeout)
        found = [read_detection(detection, received) for detection in answer.detections]
        return Detections(found, list(answer.warnings))

    def segment(
        self,
        image: Any,
        boxes: Sequence[Box | tuple[float, float, float, float]],
        *,
        order: Order = "rgb",
        may_grow: bool = False,
        timeout: float | None = None,
    ) -> list[Mask | ServiceFault]:
        """The mask of the object in each box. Takes and raises what `describe` does, and:

        Args:
            boxes: x0, y0, x1, y1 in pixels of the upright photo.
            may_grow: the boxes are a detector's: a mask may reach beyond its box where the object does, but not to the
                objects of the other boxes. Otherwise a box bounds its mask.

        Returns:
            In the order of the boxes: a Mask, or the ServiceFault of a box that failed, which leaves the others alone.
            `mask.alpha` is uint8, height x width of `mask.region`, its place in the photo.
        """
        payloads = Payloads()
        request = segment_pb2.SegmentRequest(
            image=write_picture(image, payloads, order),
            boxes=[write_box(Box(*box)) for box in boxes],
            may_grow=may_grow,
        )
        found: dict[int, Mask | ServiceFault] = {}
        for answer, received in self._call("segment", "Segment", request, payloads, timeout):
            if answer.HasField("mask"):
                alpha = to_array(answer.mask.alpha, received, "mask.alpha")
                found[answer.index] = Mask(alpha, read_region(answer.mask.region))
            else:
                found[answer.index] = ServiceFault(answer.fault)
        return [found[index] for index in sorted(found)]

    def postprocess(
        self,
        image: Any,
        mask: Any,
        *,
        order: Order = "rgb",
        finish: Finish = Finish(),  # noqa: B008  (frozen)
        timeout: float | None = None,
    ) -> Cutout:
        """A finished object: centered, decontaminated, with its shadow. Takes and raises what `describe` does, and:

        Args:
            mask: a Mask, or an array of the photo's height x width: bool, uint8 0 to 255 or float32 0 to 1.
            finish: how to center, decontaminate and shadow the object.

        Returns:
            Layers of straight-alpha RGBA, uint8, with their place on the canvas. `tensorhop.compose` lays them over
            each other.
        """
        finish.check()
        photo, known, payloads = pixels_of(image, order), to_mask(mask, "mask"), Payloads()
        known.check(size_of(photo))
        request = postprocess_pb2.PostprocessRequest(
            crop=write_image(photo[known.region.slices], payloads),
            mask=write_mask(known, payloads),
            photo=write_size(size_of(photo)),
            finish=write_finish(finish),
        )
        ((answer, received),) = self._call("postprocess", "Postprocess", request, payloads, timeout)
        shadow = read_layer(answer.shadow, received, "shadow") if answer.HasField("shadow") else None
        cutout, placement = read_layer(answer.cutout, received, "cutout"), read_placement(answer.placement)
        return Cutout(cutout, shadow, placement, list(answer.warnings))

    def _call(
        self, name: str, method: str, request: Message, payloads: Payloads, timeout: float | None
    ) -> list[Packet[Any]]:
        """The answers of one call. Raises ServiceFault, InvalidInput."""
        packet, remote = Packet(request, payloads), self._remotes[name]
        metadata = [*caller_metadata(), *tracing.carried()]
        try:
            call = remote.call(method, packet, timeout=timeout, metadata=metadata)
            return [readable(answer) for answer in call]
        except grpc.RpcError as error:
            raise from_error(error, name, remote.address) from error

"""One request of the pipeline, checked before any work is done."""

from dataclasses import dataclass, field

import numpy as np

from orchestrator.cache import Cache
from orchestrator.recall import Recall
from orchestrator.scope import Scope
from tensorhop.errors import InvalidInput
from tensorhop.finish import Finish
from tensorhop.geometry import Box, Size, size_of
from tensorhop.image import read_image
from tensorhop.messages import (
    check_count,
    read_boxes,
    read_describe,
    read_finish,
    read_fraction,
    read_mask,
    read_output,
    read_phrases,
    write_box,
    write_image,
)
from tensorhop.output import Output
from tensorhop.payloads import Payloads
from tensorhop.results import Mask
from tensorhop.settings import limits
from tensorhop.v1 import detect_pb2, image_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire import Packet

MAX_OBJECTS = 4
MAX_PARALLEL = 4
UNNAMED = "object"  # label of a box or mask to which the caller gave no phrase


@dataclass
class Job:
    """One request, checked: the photo, and what is already known about its objects."""

    request: pb.ProcessRequest
    photo: np.ndarray
    phrases: list[str]
    objects: list[detect_pb2.Detection] | None  # where the objects are, if the caller said
    masks: list[Mask]  # what the objects are, if the caller said
    finish: Finish
    output: Output
    max_objects: int
    max_parallel: int
    recall: Recall  # what is known already of its answers
    images: dict[bool, tuple[image_pb2.Image, Payloads]] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        return size_of(self.photo)

    def image(self, scope: Scope, shared: bool) -> tuple[image_pb2.Image, Payloads]:
        """The photo as the services get it: written to shared memory once for all of them, or inside the message."""
        if shared not in self.images:
            payloads = Payloads.into([scope.borrow(self.photo.nbytes)]) if shared else Payloads()
            self.images[shared] = write_image(self.photo, payloads), payloads
        return self.images[shared]


def read_job(packet: Packet[pb.ProcessRequest], cache: Cache | None, scope: Scope) -> Job:
    """Check a request before any work is done. Raises InvalidInput."""
    request, payloads = packet
    photo = read_image(request.image, payloads)
    if request.boxes and request.masks:
        raise InvalidInput("masks", "came with boxes; give one or the other")
    phrases = read_phrases(request.phrases)
    boxes = read_boxes(request.boxes, size_of(photo))
    check_count(len(request.masks), limits().max_boxes, "masks")
    masks = [read_mask(mask, payloads, size_of(photo), f"masks[{index}]") for index, mask in enumerate(request.masks)]
    boxes += [Box(*mask.region) for mask in masks]
    if boxes and phrases and len(phrases) != len(boxes):
        raise InvalidInput("phrases", f"has {len(phrases)} entries; beside boxes or masks give one each, {len(boxes)}")
    objects = [
        detect_pb2.Detection(
            index=index,
            label=phrases[index] if phrases else UNNAMED,
            phrase_index=index if phrases else -1,
            score=1,
            box=write_box(box),
        )
        for index, box in enumerate(boxes)
    ]
    for name in ("score_threshold", "iou_threshold"):
        read_fraction(request.detect, name, "detect")
    read_describe(request.describe, "describe")
    finish, output = read_finish(request.finish), read_output(request.output)
    output.check_canvas(finish.canvas if finish.center else size_of(photo))
    return Job(
        request=request,
        photo=photo,
        phrases=phrases,
        objects=objects or None,
        masks=masks,
        finish=finish,
        output=output,
        max_objects=read_count(request, "max_objects", MAX_OBJECTS, limits().max_objects),
        max_parallel=read_count(request, "max_parallel", MAX_PARALLEL, limits().max_parallel),
        recall=Recall(None if request.no_cache else cache, photo, scope),
    )


def read_count(request: pb.ProcessRequest, name: str, default: int, most: int) -> int:
    """An optional number of at least 1."""
    if not request.HasField(name):
        return default
    value = getattr(request, name)
    if not 1 <= value <= most:
        raise InvalidInput(name, f"is {value}; it must be from 1 to {most}")
    return value

"""One request of the pipeline, checked before any work is done."""

from dataclasses import dataclass, field, replace

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.chain.cache import Cache
from tensorhop.orchestrator.chain.request_fields import read_count
from tensorhop.orchestrator.chain.request_scope import RequestScope
from tensorhop.orchestrator.chain.sent_images import SentImages
from tensorhop.orchestrator.chain.step_cache import StepCache
from tensorhop.settings import current_settings
from tensorhop.v1 import detect_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.values.compositing import fit_picture
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.finish_options import BACKDROP, Finish
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.output_options import Output
from tensorhop.values.phrases import split_phrase
from tensorhop.values.results import Layer, Mask
from tensorhop.wire.codec import Packet
from tensorhop.wire.image_source import read_image, read_photo
from tensorhop.wire.messages import (
    check_count,
    read_boxes,
    read_describe,
    read_detect,
    read_finish,
    read_mask,
    read_output,
    read_phrases,
    write_box,
)

MAX_OBJECTS = 4
MAX_PARALLEL = 4
UNIT = Box(0, 0, 1, 1)  # as a fraction, the whole photo
FIRST_PIXEL = "boxes[{}] is one pixel; boxes are in pixels, not in fractions of the photo."
UNNAMED = "object"  # label of a box or mask to which the caller gave no phrase


@dataclass
class CutoutRequest:
    """One request, parsed and checked: the photo, and what is already known about its objects."""

    photo: np.ndarray
    alpha: np.ndarray | None  # the photo's own, height x width, uint8; None if it is opaque
    warnings: list[str]  # about what the caller sent
    phrases: list[str]
    objects: list[detect_pb2.Detection] | None  # where the objects are, if the caller said
    masks: list[Mask]  # what the objects are, if the caller said
    describe: DescribeOptions
    detect: DetectOptions
    finish: Finish
    output: Output
    background: Layer | None  # the picture behind the object, as the canvas shows it
    return_masks: bool
    return_layers: bool
    may_grow: bool  # masks may reach beyond their boxes, which are a detector's
    merge: bool
    ordered: bool
    max_objects: int
    max_parallel: int
    image: SentImages  # the photo as the services get it
    cache: StepCache  # what is known already of its answers
    known: dict[int, Mask] = field(default_factory=dict)  # masks that the photo's alpha is, by the object's place
    detected: dict[int, Mask] = field(default_factory=dict)  # masks that detect made with its boxes, likewise

    @property
    def alpha_use(self) -> pb.AlphaUse:
        if self.alpha is None:
            return pb.ALPHA_USE_UNSPECIFIED
        return pb.ALPHA_USE_MASK if self.known else pb.ALPHA_USE_BOUND

    @property
    def size(self) -> Size:
        return size_of(self.photo)


def with_backdrop(finish: Finish, output: Output, on_picture: bool = False) -> tuple[Finish, Output]:
    """One colour for a backdrop and for the output's background, whichever was given.

    Where the backdrop is not what lies behind, as with a picture, nothing may be brighter than it: it is white.
    """
    if finish.shadow != "backdrop":
        return finish, output
    if not output.background and not on_picture:
        return finish, replace(output, background=finish.backdrop or BACKDROP)
    if not finish.backdrop:
        plain = not on_picture and output.colour is not None
        finish = replace(finish, backdrop=output.background if plain else "white")
    return finish, output


def read_request(packet: Packet[pb.ProcessRequest], cache: Cache | None, scope: RequestScope) -> CutoutRequest:
    """Check a request before any work is done. Raises InvalidInput."""
    request, payloads = packet
    source = read_photo(request.image, payloads)
    photo = source.pixels
    if request.boxes and request.masks:
        raise InvalidInput("masks", "came with boxes; give one or the other")
    phrases = read_phrases(request.phrases)
    boxes = read_boxes(request.boxes, size_of(photo))
    check_count(len(request.masks), current_settings().max_boxes, "masks")
    masks = [read_mask(mask, payloads, size_of(photo), f"masks[{index}]") for index, mask in enumerate(request.masks)]
    doubts = [mask.doubt(size_of(photo), f"masks[{index}]") for index, mask in enumerate(masks)]
    doubts += [FIRST_PIXEL.format(index) for index, box in enumerate(boxes) if box == UNIT]
    boxes += [Box(*mask.region) for mask in masks]
    if boxes and len(phrases) == 1 < len(boxes):
        phrases = split_phrase(phrases[0])
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
    detect, describe = read_detect(request.detect, "detect"), read_describe(request.describe, "describe")
    finish, output = read_finish(request.finish), read_output(request.output)
    if finish.refine is None:  # masks that segment made are refined; the caller's own, and the photo's, are not
        finish = replace(finish, refine=not masks and source.alpha is None)
    on_picture = request.output.HasField("background_image")
    finish, output = with_backdrop(finish, output, on_picture)
    canvas = Size(*finish.canvas) if finish.center else size_of(photo)
    output.check_canvas(canvas)
    background = None
    if on_picture:
        pixels = read_image(request.output.background_image, payloads, "output.background_image")
        background = fit_picture(pixels, canvas, output.background_fit)
        if background.region == Region.of(canvas) and not output.background:
            output = replace(output, background="white")  # none of it is seen, but the picture has no alpha then
    return CutoutRequest(
        photo=photo,
        alpha=source.alpha,
        warnings=[*source.warnings, *filter(None, doubts)],
        phrases=phrases,
        objects=objects or None,
        masks=masks,
        describe=describe,
        detect=detect,
        finish=finish,
        output=output,
        background=background,
        return_masks=request.output.masks,
        return_layers=request.output.layers,
        may_grow=not boxes or request.may_grow,
        merge=request.merge,
        ordered=request.ordered,
        max_objects=read_count(request, "max_objects", MAX_OBJECTS, current_settings().max_objects),
        max_parallel=read_count(request, "max_parallel", MAX_PARALLEL, current_settings().max_parallel),
        image=SentImages([photo], scope.slots),
        cache=StepCache(None if request.no_cache else cache, photo, scope),
    )

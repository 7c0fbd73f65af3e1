"""Conversion between the contract's messages and plain values. Reading checks values, and an error names its field."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import Message

from tensorhop.errors import InvalidInput
from tensorhop.models.model import Model
from tensorhop.settings import current_settings
from tensorhop.v1 import describe_pb2, detect_pb2, image_pb2, model_pb2, pipeline_pb2, postprocess_pb2
from tensorhop.values.describe_options import DescribeOptions
from tensorhop.values.detect_options import DetectOptions
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.output_options import Output
from tensorhop.values.phrases import split_phrase
from tensorhop.values.results import Description, Detection, Layer, Mask, Placement
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.tensor import to_array, to_tensor

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper


def read_region(message: image_pb2.Region) -> Region:
    return Region(message.x0, message.y0, message.x1, message.y1)


def corners(message: image_pb2.Box) -> Box:
    """The box of a message, unchecked."""
    return Box(message.x0, message.y0, message.x1, message.y1)


def read_box(message: image_pb2.Box, photo: Size, field: str) -> Box:
    """The box of a message, clipped to the photo.

    Raises:
        InvalidInput: the box is not finite, inverted, empty, wholly outside of the photo, or in fractions of it.
    """
    box = corners(message)
    for name, value in box._asdict().items():
        if not math.isfinite(value):
            raise InvalidInput(f"{field}.{name}", f"is {value}; it must be finite")
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise InvalidInput(field, f"is {tuple(box)}; x0 < x1 and y0 < y1 are needed")
    if min(box) >= 0 and max(box) <= 1 and any(value % 1 for value in box):
        raise InvalidInput(
            field,
            f"is {tuple(round(value, 4) for value in box)}, less than a pixel; a box is in pixels: "
            f"multiply fractions by the photo's width, {photo.width}, and height, {photo.height}",
        )
    inside = box.clipped(photo)
    if inside.area == 0:
        raise InvalidInput(
            field, f"is {tuple(box)}, outside of the photo; x may go from 0 to {photo.width}, y to {photo.height}"
        )
    return inside


def read_boxes(messages: Sequence[image_pb2.Box], photo: Size, field: str = "boxes") -> list[Box]:
    """The boxes of a message, clipped to the photo. Raises InvalidInput: too many boxes, or as `read_box` does."""
    check_count(len(messages), current_settings().max_boxes, field)
    return [read_box(message, photo, f"{field}[{index}]") for index, message in enumerate(messages)]


def read_mask(message: image_pb2.Mask, payloads: Payloads, photo: Size, field: str = "mask") -> Mask:
    """The mask of a message: its alpha is uint8 0 to 255 or float32 0 to 1, and its region is within the photo.

    Without a region it is a mask of the whole photo.

    Raises:
        InvalidInput: as `to_array` and `Mask.check` do, or a mask of the whole photo has another size.
    """
    alpha = to_array(message.alpha, payloads, f"{field}.alpha")
    region = read_region(message.region) if message.HasField("region") else Region.of(photo)
    if not message.HasField("region") and alpha.ndim == 2 and size_of(alpha) != photo:
        width, height = size_of(alpha)
        how = "turn the mask as the photo is turned" if (height, width) == photo else "scale the mask to that size"
        raise InvalidInput(
            field, f"is {width} x {height} pixels; the upright photo is {photo.width} x {photo.height}: {how}"
        )
    mask = Mask(alpha, region)
    mask.check(photo, field)
    return mask


def read_phrases(phrases: Sequence[str], field: str = "phrases") -> list[str]:
    """The phrases, checked. Raises InvalidInput: there are too many, or one is empty or too long.

    The limits hold for the phrases that `split_phrase` finds in them.
    """
    most, count = current_settings(), 0
    for index, phrase in enumerate(phrases):
        if not phrase.strip():
            raise InvalidInput(f"{field}[{index}]", "is empty; a phrase names an object")
        parts = split_phrase(phrase)
        count += len(parts)
        if (longest := max(map(len, parts))) > most.max_phrase_characters:
            raise InvalidInput(
                f"{field}[{index}]", f"has {longest} characters; at most {most.max_phrase_characters} are allowed"
            )
    check_count(count, most.max_phrases, field)
    return list(phrases)


def read_detect(message: detect_pb2.DetectOptions, field: str = "options") -> DetectOptions:
    """The caller's choices. Raises InvalidInput as `DetectOptions.check` does."""
    options = DetectOptions(**given(message, "score_threshold", "iou_threshold"))
    options.check(field)
    return options


def read_describe(message: describe_pb2.DescribeOptions, field: str = "options") -> DescribeOptions:
    """The caller's choices over the defaults. Raises InvalidInput as `DescribeOptions.check` does."""
    look = read_choice(describe_pb2.Look, message.look, f"{field}.look")
    chosen: dict[str, Any] = {
        name: getattr(message.generation, name)
        for name in ("max_new_tokens", "num_beams")
        if message.generation.HasField(name)
    }
    if look:
        chosen["look"] = look
    options = DescribeOptions(prompt=message.prompt.strip(), **chosen)
    options.check(field)
    return options


def read_finish(message: postprocess_pb2.Finish) -> Finish:
    """The caller's choices over the defaults. Raises InvalidInput as `Finish.check` does."""
    chosen = given(message, "center", "decontaminate", "refine", "fill", "max_scale")
    shadow = message.shadow
    chosen |= given(shadow, "rot", "length", "softness", "opacity", "thickness", "bounce")
    if message.HasField("canvas"):
        chosen["canvas"] = read_size(message.canvas)
    if kind := read_choice(postprocess_pb2.ShadowKind, shadow.kind, "finish.shadow.kind"):
        chosen["shadow"] = kind
    if profile := read_choice(postprocess_pb2.ShadowProfile, shadow.profile, "finish.shadow.profile"):
        chosen["profile"] = profile
    finish = Finish(**chosen, backdrop=shadow.backdrop)
    finish.check()
    return finish


def read_choice(enum: "EnumTypeWrapper", value: int, field: str) -> str:
    """The name of a value of an enum without its prefix, such as "webp"; "" if it is 0, unspecified.

    Raises:
        InvalidInput: the enum has no such value.
    """
    if value not in enum.values():
        raise InvalidInput(field, f"is {value}; known are {', '.join(enum.keys())}")
    return enum.Name(value).removeprefix(enum.Name(0).removesuffix("UNSPECIFIED")).lower() if value else ""


def given(message: Message, *names: str) -> dict[str, Any]:
    """The values of those optional fields that the caller has set."""
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def read_output(message: pipeline_pb2.Output) -> Output:
    """The caller's choices over the defaults, without a picture. Raises InvalidInput as `Output.check` does."""
    chosen = given(message, "quality", "png_level") | {"encoding": read_encoding(message.encoding, "output.encoding")}
    if fit := read_choice(pipeline_pb2.BackgroundFit, message.background_fit, "output.background_fit"):
        chosen["background_fit"] = fit
    output = Output(background=message.background, **chosen)
    output.check()
    return output


def read_encoding(encoding: pipeline_pb2.Encoding, field: str) -> str:
    """The name of an encoding, such as "webp"; the default's if the caller chose none. Raises InvalidInput: unknown."""
    return read_choice(pipeline_pb2.Encoding, encoding, field) or "png"


def check_count(count: int, most: int, field: str) -> None:
    if count > most:
        raise InvalidInput(field, f"has {count} entries; at most {most} are allowed")


def read_size(message: image_pb2.Size) -> Size:
    return Size(message.width, message.height)


def read_detection(message: detect_pb2.Detection, payloads: Payloads) -> Detection:
    alpha = to_array(message.mask.alpha, payloads, "mask.alpha") if message.HasField("mask") else None
    return Detection(
        index=message.index,
        label=message.label,
        phrase_index=message.phrase_index,
        score=message.score,
        box=corners(message.box),
        unknown_phrase=message.unknown_phrase,
        mask=None if alpha is None else Mask(alpha, read_region(message.mask.region)),
    )


def read_description(message: pipeline_pb2.Description) -> Description:
    return Description(message.text, message.score, read_region(message.region))


def read_layer(message: postprocess_pb2.Layer, payloads: Payloads, field: str) -> Layer:
    return Layer(to_array(message.pixels, payloads, f"{field}.pixels"), read_region(message.region))


def read_placement(message: postprocess_pb2.Placement) -> Placement:
    return Placement(read_size(message.canvas), message.scale, message.x, message.y)


def write_region(region: Region) -> image_pb2.Region:
    return image_pb2.Region(**region._asdict())


def write_box(box: Box) -> image_pb2.Box:
    return image_pb2.Box(**box._asdict())


def write_size(size: Size) -> image_pb2.Size:
    return image_pb2.Size(**size._asdict())


def write_image(pixels: np.ndarray, payloads: Payloads) -> image_pb2.Image:
    """The message of an image (uint8, height x width x 3, sRGB), whose bytes go to the payloads."""
    return image_pb2.Image(tensor=to_tensor(pixels, payloads))


def write_mask(mask: Mask, payloads: Payloads) -> image_pb2.Mask:
    """The message of a mask, whose bytes go to the payloads."""
    return image_pb2.Mask(alpha=to_tensor(mask.alpha, payloads), region=write_region(mask.region))


def write_detection(detection: Detection, payloads: Payloads) -> detect_pb2.Detection:
    """The message of a detection; the bytes of its mask, if there is one, go to the payloads."""
    return detect_pb2.Detection(
        index=detection.index,
        label=detection.label,
        phrase_index=detection.phrase_index,
        score=detection.score,
        box=write_box(detection.box),
        unknown_phrase=detection.unknown_phrase,
        mask=write_mask(detection.mask, payloads) if detection.mask else None,
    )


def write_layer(layer: Layer, payloads: Payloads) -> postprocess_pb2.Layer:
    """The message of a layer, whose bytes go to the payloads."""
    return postprocess_pb2.Layer(pixels=to_tensor(layer.pixels, payloads), region=write_region(layer.region))


def write_placement(placement: Placement) -> postprocess_pb2.Placement:
    return postprocess_pb2.Placement(
        canvas=write_size(placement.canvas), scale=placement.scale, x=placement.x, y=placement.y
    )


def write_finish(finish: Finish) -> postprocess_pb2.Finish:
    return postprocess_pb2.Finish(
        center=finish.center,
        decontaminate=finish.decontaminate,
        refine=finish.refine,
        shadow=postprocess_pb2.Shadow(
            kind=f"SHADOW_KIND_{finish.shadow.upper()}",
            rot=finish.rot,
            length=finish.length,
            softness=finish.softness,
            opacity=finish.opacity,
            thickness=finish.thickness,
            profile=f"SHADOW_PROFILE_{finish.profile.upper()}",
            bounce=finish.bounce,
            backdrop=finish.backdrop,
        ),
        canvas=write_size(Size(*finish.canvas)),
        fill=finish.fill,
        max_scale=finish.max_scale,
    )


def write_output(output: Output) -> pipeline_pb2.Output:
    """The message of the choices, without a picture."""
    return pipeline_pb2.Output(
        encoding=f"ENCODING_{output.encoding.upper()}",
        quality=output.quality,
        background=output.background,
        png_level=output.png_level,
        background_fit=f"BACKGROUND_FIT_{output.background_fit.upper()}",
    )


def write_detect(options: DetectOptions) -> detect_pb2.DetectOptions:
    return detect_pb2.DetectOptions(score_threshold=options.score_threshold, iou_threshold=options.iou_threshold)


def write_describe(options: DescribeOptions) -> describe_pb2.DescribeOptions:
    return describe_pb2.DescribeOptions(
        look=f"LOOK_{options.look.upper()}",
        prompt=options.prompt,
        generation=describe_pb2.Generation(max_new_tokens=options.max_new_tokens, num_beams=options.num_beams),
    )


def write_model(model: Model) -> model_pb2.Model:
    return model_pb2.Model(name=model.name, revision=model.revision, digest=model.digest)

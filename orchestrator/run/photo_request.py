"""What to do with one photo: the options that may differ from photo to photo, and what follows from them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from pydantic import BaseModel, ConfigDict, Field

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.run.files import TEMPLATE, Input, check_template, suffix_of
from tensorhop.values.describe_options import LOOKS, DescribeOptions


def dashed(name: str) -> str:
    """A field's name as the command line writes it: "max-objects"."""
    return name.replace("_", "-")


class PhotoOptions(BaseModel):
    """The options that may differ from photo to photo, by their names on the command line."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=dashed, populate_by_name=True)

    look: run_options.LookAt | None = None
    describe_prompt: str = ""
    cache: bool = True
    max_objects: int = Field(4, ge=1)
    max_parallel: int = Field(4, ge=1)
    merge: bool = False
    preset: run_options.Preset | None = None  # here and below, None is what was not given
    center: bool | None = None
    canvas: str | None = None
    fill: float | None = None
    max_scale: float | None = None
    refine: bool | None = None
    decontaminate: bool | None = None
    shadow: run_options.ShadowKind | None = None
    rot: float | None = None
    shadow_length: float | None = None
    shadow_softness: float | None = None
    shadow_opacity: float | None = None
    format: run_options.Encoding | None = None
    quality: int | None = None
    background: str | None = None
    overlay: bool | None = None

    def under(self, given: "PhotoOptions") -> "PhotoOptions":
        """These options, but where `given` says something, that."""
        return self.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


@dataclass(frozen=True)
class Destination:
    """Where the results of a run go."""

    out: Path | None  # a directory; a file, if `single`; None for standard output
    single: bool = False  # only the best object is written, as one file
    template: str | None = None  # of the files' names, in a directory
    steps: Path | None = None  # where intermediates go


@dataclass(frozen=True)
class PhotoRequest:
    """What to do with a photo."""

    request: dict[str, Any]  # arguments of PipelineClient.process, which ask for files
    place: Destination
    template: str  # of the files' names, with their suffix
    overlay: bool = True

    def facts(self) -> dict[str, Any]:
        """Everything that decides what comes out, as JSON can hold it; masks as digests."""
        request = {
            name: request_json(value) for name, value in self.request.items() if name not in ("max_parallel", "cache")
        }
        steps = None if self.place.steps is None else str(self.place.steps)
        return request | {"name": self.template, "overlay": self.overlay, "save_steps": steps}


@dataclass(frozen=True)
class PhotoTask:
    """One photo and what to do with it, or why nothing can be done."""

    photo: Input
    plan: PhotoRequest | InvalidInput
    line: int = 0  # of the manifest, from 1; 0 without one


def photo_request(
    chosen: PhotoOptions,
    place: Destination,
    *,
    phrases: Sequence[str] = (),
    boxes: Sequence[Sequence[float]] = (),
    masks: Sequence[np.ndarray] = (),
) -> PhotoRequest:
    """The plan that the options make.

    Raises:
        WrongUse: they contradict each other.
        InvalidInput: a value is out of its range.
    """
    finish = run_options.finish(
        chosen.preset,
        center=chosen.center,
        canvas=run_options.parse_canvas(chosen.canvas),
        fill=chosen.fill,
        max_scale=chosen.max_scale,
        refine=chosen.refine,
        decontaminate=chosen.decontaminate,
        shadow=chosen.shadow,
        rot=chosen.rot,
        length=chosen.shadow_length,
        softness=chosen.shadow_softness,
        opacity=chosen.shadow_opacity,
    )
    file = "" if not place.single else "-" if place.out is None else str(place.out)
    output = run_options.output(chosen.preset, chosen.format, file, place.template, chosen.quality, chosen.background)
    template = place.template or TEMPLATE + suffix_of(output.encoding)
    check_template(template)
    overlay = not place.single if chosen.overlay is None else chosen.overlay
    return PhotoRequest(
        request={
            "phrases": list(phrases),
            "boxes": [tuple(box) for box in boxes],
            "masks": list(masks),
            "max_objects": chosen.max_objects,
            "max_parallel": chosen.max_parallel,
            "merge": chosen.merge,
            "describe": DescribeOptions(look=chosen.look or LOOKS[0], prompt=chosen.describe_prompt),
            "cache": chosen.cache,
            "finish": finish,
            "output": output,
            "return_masks": overlay or place.steps is not None,
            "return_layers": place.steps is not None,
        },
        place=place,
        template=template,
        overlay=overlay,
    )


def request_json(value: Any) -> Any:
    """A value of a request as JSON gives it back."""
    if isinstance(value, np.ndarray):
        shape = "x".join(map(str, value.shape))
        return f"{value.dtype} {shape} {blake3(np.ascontiguousarray(value).data).hexdigest()}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: request_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [request_json(one) for one in value]
    return value

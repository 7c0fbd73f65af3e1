"""What the steps produce, as plain values: arrays, boxes, words. They know no transport."""

from dataclasses import dataclass

import numpy as np

from tensorhop.geometry import Box, Region, Size


@dataclass(frozen=True)
class Description:
    """What a photo shows."""

    text: str
    score: float  # confidence, 0 to 1
    region: Region  # the pixels that the model looked at


@dataclass(frozen=True)
class Detection:
    """One object that was found."""

    index: int  # rank by score, from 0
    label: str  # the phrase, as the caller wrote it
    phrase_index: int  # which of the caller's phrases that is, from 0
    score: float  # confidence, 0 to 1
    box: Box


@dataclass(frozen=True)
class Mask:
    """How much of each pixel belongs to an object."""

    alpha: np.ndarray  # height x width of the region: uint8 0 to 255, or float32 0 to 1
    region: Region  # the pixels of the photo that alpha covers; outside of it the mask is 0


@dataclass(frozen=True)
class Layer:
    """Pixels and their place on a canvas."""

    pixels: np.ndarray  # straight-alpha RGBA, uint8, height x width x 4 of the region
    region: Region  # the pixels of the canvas that the layer covers; outside of it the layer is transparent


@dataclass(frozen=True)
class Placement:
    """The canvas of a cut-out, and where the photo went on it: canvas x = x + scale * photo x, and so for y."""

    canvas: Size
    scale: float
    x: float
    y: float


@dataclass(frozen=True)
class Cutout:
    """One finished object."""

    cutout: Layer
    shadow: Layer | None
    placement: Placement


# What PipelineClient.process yields, beside Description and ObjectFault.


@dataclass(frozen=True)
class Detections:
    """The objects that are going to be finished, best first."""

    detections: list[Detection]
    warnings: list[str]


@dataclass(frozen=True)
class ObjectResult:
    """One finished object."""

    detection: Detection
    picture: Layer  # the object over its shadow
    placement: Placement
    seconds: float  # from the start of the request until the object was done
    mask: Mask | None  # if asked for
    cutout: Layer | None  # the object alone, if layers were asked for
    shadow: Layer | None  # if layers were asked for and there is a shadow


@dataclass(frozen=True)
class ObjectFault:
    """One object that could not be finished, with what it already had."""

    detection: Detection
    step: str  # "segment"
    code: str  # a gRPC status code: "INVALID_ARGUMENT"
    field: str  # the field at fault, or ""
    message: str
    retryable: bool
    mask: Mask | None  # if it got that far


@dataclass(frozen=True)
class StepSummary:
    """What one step did for a request."""

    step: str
    calls: int
    seconds: float  # spent in those calls, added up
    model: str  # name, or "" for a step without a model
    revision: str
    digest: str


@dataclass(frozen=True)
class Summary:
    """The end of a request."""

    photo: Size
    objects: int
    faults: int
    seconds: float
    steps: list[StepSummary]

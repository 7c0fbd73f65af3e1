"""The results of the steps as plain values: arrays, boxes, words. They know no transport."""

from dataclasses import dataclass, field

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.values.dtypes import dtype_name
from tensorhop.values.geometry import Box, Region, Size, size_of

SOLID = 0.5  # alpha that an object is expected to reach somewhere
VISIBLE = 0.05  # a pixel counts as the object's if its alpha is above this


def levels_of(alpha: np.ndarray) -> np.ndarray:
    """Alpha, or any picture, as uint8 from 0 to 255; it may be floats from 0 to 1."""
    if alpha.dtype == np.uint8:
        return alpha
    return np.rint(255 * np.clip(alpha.astype(np.float32, copy=False), 0, 1)).astype(np.uint8)


@dataclass(frozen=True)
class Description:
    """What a photo shows."""

    text: str
    score: float  # confidence, 0 to 1
    region: Region  # the pixels that the model looked at


@dataclass(frozen=True)
class Mask:
    """How much of each pixel belongs to an object."""

    alpha: np.ndarray  # height x width of the region: uint8 0 to 255, or float32 0 to 1
    region: Region  # the pixels of the photo that alpha covers; outside of it the mask is 0

    @property
    def empty(self) -> bool:
        """Whether there is no pixel that counts as the object's."""
        scale = 255 if self.alpha.dtype == np.uint8 else 1
        return not (self.alpha > VISIBLE * scale).any()

    def check(self, photo: Size, field: str = "mask") -> None:
        """Make sure that this is a mask of a photo of that size.

        Raises:
            InvalidInput: the dtype or shape is wrong, a value is out of range or NaN, or the region has another size or
                leaves the photo.
        """
        alpha, region = self.alpha, self.region
        if alpha.dtype not in (np.uint8, np.float32):
            raise InvalidInput(f"{field}.alpha.dtype", f"is {dtype_name(alpha)}; a mask is UINT8 or FP32")
        if alpha.ndim != 2:
            raise InvalidInput(f"{field}.alpha.shape", f"is {list(alpha.shape)}; a mask is [height, width]")
        if not (0 <= region.x0 <= region.x1 <= photo.width and 0 <= region.y0 <= region.y1 <= photo.height):
            raise InvalidInput(
                f"{field}.region",
                f"is {tuple(region)}; 0 <= x0 <= x1 <= {photo.width} and 0 <= y0 <= y1 <= {photo.height} are needed",
            )
        if size_of(alpha) != region.size:
            raise InvalidInput(
                f"{field}.alpha.shape",
                f"is {list(alpha.shape)}; its region has height {region.size.height} and width {region.size.width}",
            )
        if alpha.dtype == np.float32 and alpha.size and not (alpha.min() >= 0 and alpha.max() <= 1):
            if np.isnan(alpha).any():
                raise InvalidInput(f"{field}.alpha", "has pixels that are nan; FP32 goes from 0 to 1")
            hint = "; divide it by 255" if 1 < alpha.max() <= 255 and alpha.min() >= 0 else ""
            raise InvalidInput(
                f"{field}.alpha", f"goes from {alpha.min()} to {alpha.max()}; FP32 goes from 0 to 1{hint}"
            )

    def doubt(self, photo: Size, field: str = "mask") -> str:
        """What looks wrong about a mask that a caller made, a sentence; "" if nothing does.

        Raises:
            InvalidInput: its values are so small that no pixel counts as the object's, such as those of a mask of 0 and
                1, but not all are 0.
        """
        scale = 255 if self.alpha.dtype == np.uint8 else 1
        most = float(self.alpha.max(initial=0))
        if 0 < most <= VISIBLE * scale:
            dtype, hint = ("UINT8", "; multiply a mask of 0 and 1 by 255") if scale == 255 else ("FP32", "")
            raise InvalidInput(f"{field}.alpha", f"goes from 0 to {most:g}; {dtype} goes from 0 to {scale}{hint}")
        if 0 < most < SOLID * scale:
            return f"{field} goes only up to {most:g} of {scale}, so the object will be transparent."
        if self.region == Region.of(photo) and self.alpha.size and self.alpha.min() == scale:
            return f"{field} covers the whole photo, so nothing will be cut away."
        return ""


@dataclass(frozen=True)
class Detection:
    """One object that was found."""

    index: int  # rank by score, from 0
    label: str  # the phrase, as the caller wrote it
    phrase_index: int  # which of the caller's phrases that is, from 0
    score: float  # confidence, 0 to 1
    box: Box
    unknown_phrase: bool = False  # the model does not know the phrase: an object that stands out, whatever it may be
    mask: Mask | None = field(default=None, compare=False, repr=False)  # if the model makes masks with its boxes


@dataclass(frozen=True)
class Layer:
    """Pixels and their place on a canvas."""

    pixels: np.ndarray  # straight-alpha RGBA, uint8, height x width x 4 of the region
    region: Region  # the pixels of the canvas that the layer covers; outside of it the layer is transparent


@dataclass(frozen=True)
class Placement:
    """The canvas of a cut-out, and where the photo went on it: canvas x = x + scale * photo x, and the same for y."""

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
    warnings: list[str] = field(default_factory=list)


# PipelineClient.process yields the following, and Description.


@dataclass(frozen=True)
class Detections:
    """The objects that are going to be finished, best first."""

    detections: list[Detection]
    warnings: list[str]


@dataclass(frozen=True)
class ObjectResult:
    """One finished object."""

    detection: Detection
    picture: Layer | None  # the object over its shadow; None if a file was asked for
    file: bytes | None  # the picture as an image file of the whole canvas, if a file was asked for
    placement: Placement
    seconds: float  # from the start of the request until the object was done
    mask: Mask | None  # if asked for
    cutout: Layer | None  # the object alone, if layers were asked for
    shadow: Layer | None  # if layers were asked for and there is a shadow
    warnings: list[str] = field(default_factory=list)  # about this object


@dataclass(frozen=True)
class ObjectFault:
    """One object that could not be finished, with the results that it already had."""

    detection: Detection
    step: str  # the service that failed, such as "segment"
    code: str  # a gRPC status code, such as "INVALID_ARGUMENT"
    field: str  # the field at fault, or ""
    message: str
    retryable: bool
    mask: Mask | None  # if the object already had one


@dataclass(frozen=True)
class StepSummary:
    """What one step did for a request."""

    step: str
    calls: int
    seconds: float  # the sum over those calls
    model: str  # name, or "" for a step without a model
    revision: str
    digest: str
    transport: str  # how tensors were sent: "message", "shared_memory", or "" if there was no call
    cached: int = 0  # answers that came from the cache instead of a call


@dataclass(frozen=True)
class Summary:
    """The end of a request."""

    photo: Size
    objects: int
    faults: int
    seconds: float
    steps: list[StepSummary]
    alpha: str = ""  # how the photo's own alpha was used: "bound", "mask", or "" if the photo is opaque
    detect_masks: int = 0  # for how many objects segment was left out, because detect made their masks

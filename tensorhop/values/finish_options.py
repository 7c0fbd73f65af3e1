"""How to finish a cut-out: the caller's choices, their defaults and their ranges."""

import math
from dataclasses import dataclass

from tensorhop.errors import InvalidInput
from tensorhop.values.colours import Colour, read_colour
from tensorhop.values.geometry import Size

SHADOWS = ("none", "contact", "cast", "backdrop", "learned")
PROFILES = ("slab", "round")  # of an object on a backdrop
CANVAS = Size(1024, 1024)
FILL, MAX_SCALE = 0.8, 2.0
LENGTH, SOFTNESS, OPACITY = 0.7, 0.035, 0.65
# The cost of a shadow grows with its reach, and longer or softer ones hardly look like shadows.
RANGES = {
    "max_scale": (1, 100),
    "shadow.length": (0, 4),
    "shadow.softness": (0, 0.25),
    "shadow.opacity": (0, 1),
    "shadow.bounce": (0, 2),
}
# On a backdrop: a lamp 40 degrees above it, with a radius of 20 degrees; thickness in longer sides of the object.
BACKDROP_LENGTH, BACKDROP_SOFTNESS = 1.2, 0.175
THICKNESSES = {"slab": 0.14, "round": 0.3}
BACKDROP = "#e8e8e8"  # a little below white, which could not show what is brighter than the backdrop


@dataclass(frozen=True)
class Finish:
    """How postprocess finishes an object."""

    center: bool = True  # put the object in the middle of a canvas; otherwise the canvas is the photo
    decontaminate: bool = True  # take the background's colour out of soft edges
    shadow: str = "cast"  # one of SHADOWS
    rot: float = 60.0  # compass bearing to which the shadow falls: degrees clockwise, 0 away from the viewer, 90 right
    canvas: Size = CANVAS  # of a centered object, in pixels
    fill: float = FILL  # fraction of the canvas's width or height, whichever is reached first, that the object fills
    max_scale: float = MAX_SCALE  # the largest factor by which a small object may be enlarged to that size
    # Of the shadow, in heights of the object; on a backdrop in its thicknesses. None: 0.7, or 1.2 on a backdrop.
    length: float | None = None
    # Standard deviation of the shadow's blur, as a fraction of the light's path. None: 0.035, or 0.175 on a backdrop.
    softness: float | None = None
    opacity: float = OPACITY  # fraction of the light that the shadow's core blocks; on a backdrop, the lamp's
    # Move a coarse mask's edges onto the object's edges in the photo. None means no, but the pipeline replaces it by
    # yes for masks that segment made.
    refine: bool | None = None
    # Of the shadow on a backdrop: how thick the object is, in its longer sides (None: 0.14, or 0.3 if it is round), one
    # of PROFILES, how much of its own light the object throws on the backdrop, and the backdrop's colour.
    thickness: float | None = None
    profile: str = "slab"
    bounce: float = 1.0
    backdrop: str = ""  # CSS colour name, #rgb or #rrggbb; "": the output's background, or else BACKDROP

    @property
    def lamp_length(self) -> float:
        """The length that applies to the kind of shadow."""
        if self.length is not None:
            return self.length
        return BACKDROP_LENGTH if self.shadow == "backdrop" else LENGTH

    @property
    def lamp_softness(self) -> float:
        """The softness that applies to the kind of shadow."""
        if self.softness is not None:
            return self.softness
        return BACKDROP_SOFTNESS if self.shadow == "backdrop" else SOFTNESS

    @property
    def object_thickness(self) -> float:
        """The thickness that applies to the profile."""
        return THICKNESSES[self.profile] if self.thickness is None else self.thickness

    @property
    def backdrop_colour(self) -> Colour:
        """The backdrop's colour. Raises InvalidInput: it is not a colour."""
        return read_colour(self.backdrop or BACKDROP, "finish.shadow.backdrop")

    def check(self) -> None:
        """Raises InvalidInput: the shadow is unknown, or a number is out of its range."""
        if self.shadow not in SHADOWS:
            raise InvalidInput("finish.shadow", f"is {self.shadow!r}; known are {', '.join(SHADOWS)}")
        if not math.isfinite(self.rot):
            raise InvalidInput("finish.shadow.rot", f"is {self.rot}; it must be finite, in degrees")
        check_canvas(Size(*self.canvas))
        if not 0 < self.fill <= 1:
            raise InvalidInput("finish.fill", f"is {self.fill}; it must be above 0 and at most 1")
        if self.profile not in PROFILES:
            raise InvalidInput("finish.shadow.profile", f"is {self.profile!r}; known are {', '.join(PROFILES)}")
        if self.thickness is not None and not 0 < self.thickness <= 1:
            raise InvalidInput(
                "finish.shadow.thickness",
                f"is {self.thickness}; it must be above 0 and at most 1, in longer sides of the object",
            )
        self.backdrop_colour  # noqa: B018  (raises)
        for name, (least, most) in RANGES.items():
            value = getattr(self, name.rpartition(".")[2])
            if value is not None and not least <= value <= most:
                raise InvalidInput(f"finish.{name}", f"is {value}; it must be from {least} to {most}")


def check_canvas(canvas: Size, field: str = "finish.canvas") -> None:
    """Raises InvalidInput: the canvas is empty or over the limits."""
    from tensorhop.settings import current_settings  # here, because `--help` needs the presets but not pydantic

    side, pixels = current_settings().max_canvas_side, current_settings().max_pixels
    if not (1 <= canvas.width <= side and 1 <= canvas.height <= side):
        raise InvalidInput(field, f"is {canvas.width} x {canvas.height} pixels; a side must be from 1 to {side:,}")
    if canvas.width * canvas.height > pixels:
        raise InvalidInput(
            field,
            f"is {canvas.width} x {canvas.height} = {canvas.width * canvas.height:,} pixels; "
            f"at most {pixels:,} are allowed",
        )

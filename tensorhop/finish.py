"""How to finish a cut-out: the caller's choices and their defaults."""

import math
from dataclasses import dataclass

from tensorhop.errors import InvalidInput

SHADOWS = ("none", "contact", "cast")


@dataclass(frozen=True)
class Finish:
    """What postprocess does to an object."""

    center: bool = True  # put the object in the middle of a square canvas; otherwise the canvas is the photo
    decontaminate: bool = True  # take the background's colour out of soft edges
    shadow: str = "cast"  # one of SHADOWS
    rot: float = 60.0  # compass bearing to which the shadow falls: degrees clockwise, 0 away from the viewer, 90 right
    refine: bool = True  # bring a coarse mask's edges onto the object's in the photo

    def check(self) -> None:
        """Raises InvalidInput: an unknown shadow, or a rot that is not finite."""
        if self.shadow not in SHADOWS:
            raise InvalidInput("finish.shadow", f"is {self.shadow!r}; known are {', '.join(SHADOWS)}")
        if not math.isfinite(self.rot):
            raise InvalidInput("finish.shadow.rot", f"is {self.rot}; it must be finite, in degrees")

"""How to finish a cut-out: the caller's choices and their defaults."""

from dataclasses import dataclass

SHADOWS = ("none", "contact", "cast")


@dataclass(frozen=True)
class Finish:
    """What postprocess does to an object."""

    center: bool = True  # put the object in the middle of a square canvas; otherwise the canvas is the photo
    decontaminate: bool = True  # take the background's colour out of soft edges
    shadow: str = "cast"  # one of SHADOWS
    rot: float = 60.0  # compass bearing to which the shadow falls: degrees clockwise, 0 away from the viewer, 90 right

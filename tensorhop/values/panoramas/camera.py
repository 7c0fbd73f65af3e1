"""The camera that looks into a panorama: the unified spherical model, which is pinhole and fisheye in one.

A point of the unit sphere is projected from a centre that lies xi behind the sphere's own (Geyer and Daniilidis 2000,
"A unifying theory for central panoramic systems and practical implications"; Barreto 2006, "A unifying geometric
representation for central projection systems"). A ray at the angle a from the axis falls at the radius
f sin a / (cos a + xi). xi = 0 is a pinhole (f tan a), xi = 1 the stereographic projection (f tan(a / 2)).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tensorhop.errors import InvalidInput

# In degrees, but for xi. The model reaches a ray only if cos a > -xi, so less than 180 degrees are seen at xi = 0.
RANGES = {"yaw": (-180, 180), "pitch": (-90, 90), "roll": (-180, 180), "vfov": (1, 170), "xi": (0, 1)}
INTERVALS, INTERVAL_DEGREES = range(1, 9), 45  # of yaw, from -180 degrees on


@dataclass(frozen=True)
class Camera:
    """Where a view looks, and how it projects. The camera turns by yaw, then by pitch, then by roll."""

    yaw: float = 0.0  # degrees to the right; 0 is the panorama's middle column
    pitch: float = 0.0  # degrees up
    roll: float = 0.0  # degrees clockwise, as seen from behind the camera
    vfov: float = 90.0  # degrees: the vertical field of view
    xi: float = 0.0  # distortion: 0 is a pinhole

    def check(self, field: str = "camera") -> None:
        """Raises InvalidInput: a number is not finite, or out of its range."""
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                unit = "" if name == "xi" else " degrees"
                raise InvalidInput(f"{field}.{name}", f"is {value:.12g}; it must be from {least} to {most}{unit}")

    def focal_length(self, height: int) -> float:
        """The model's f in pixels, such that half of a view's height is at the angle vfov / 2 from the axis."""
        half = math.radians(self.vfov) / 2
        return height / 2 * (math.cos(half) + self.xi) / math.sin(half)

    def rotation(self) -> np.ndarray:
        """The matrix that turns rays of the camera into rays of the panorama: 3 x 3, float64.

        Both have x to the right, y up and z forward.
        """
        yaw, pitch, roll = (math.radians(angle) for angle in (self.yaw, self.pitch, self.roll))
        about_y = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
        about_x = [[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]]
        about_z = [[math.cos(roll), math.sin(roll), 0], [-math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
        rotation: np.ndarray = np.array(about_y) @ np.array(about_x) @ np.array(about_z)
        return rotation


class CameraPair(NamedTuple):
    """The cameras of a pair of views."""

    left: Camera
    right: Camera

    def check(self, field: str = "cameras") -> None:
        """Raises InvalidInput as `Camera.check` does."""
        self.left.check(f"{field}.left")
        self.right.check(f"{field}.right")

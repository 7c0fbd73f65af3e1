"""Rectangles in pixels: x0, y0, x1, y1, half-open, origin at the top left."""

import math
from typing import NamedTuple, Self


class Size(NamedTuple):
    """A width and a height in pixels."""

    width: int
    height: int

    def scaled(self, factor: float) -> "Size":
        """The size times a factor, rounded; a side is at least 1."""
        return Size(max(1, round(self.width * factor)), max(1, round(self.height * factor)))


class Region(NamedTuple):
    """A rectangle of whole pixels: columns x0 to x1 - 1, rows y0 to y1 - 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size(self) -> Size:
        return Size(self.x1 - self.x0, self.y1 - self.y0)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the region in an array of height x width: `photo[region.slices]`."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def empty(self) -> bool:
        return self.x1 <= self.x0 or self.y1 <= self.y0

    def intersect(self, other: "Region") -> "Region":
        """The pixels in both regions; an empty region if there are none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Region(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))

    def union(self, other: "Region") -> "Region":
        """The smallest region that holds both regions."""
        return Region(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def moved(self, x: int, y: int) -> "Region":
        """The region moved by x columns and y rows."""
        return Region(self.x0 + x, self.y0 + y, self.x1 + x, self.y1 + y)

    @classmethod
    def of(cls, size: Size) -> Self:
        """The region of a whole picture."""
        return cls(0, 0, size.width, size.height)


class Box(NamedTuple):
    """A rectangle between pixel edges, in float pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return max(0.0, self.width) * max(0.0, self.height)

    def padded(self, fraction: float) -> "Box":
        """The box grown on every side by a fraction of its own width and height."""
        x, y = fraction * self.width, fraction * self.height
        return Box(self.x0 - x, self.y0 - y, self.x1 + x, self.y1 + y)

    def clipped(self, size: Size) -> "Box":
        """The part of the box inside a picture."""
        return Box(
            min(max(self.x0, 0.0), size.width),
            min(max(self.y0, 0.0), size.height),
            min(max(self.x1, 0.0), size.width),
            min(max(self.y1, 0.0), size.height),
        )

    def iou(self, other: "Box") -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / (self.area + other.area - width * height)

    def region(self) -> Region:
        """The pixels that the box touches."""
        return Region(math.floor(self.x0), math.floor(self.y0), math.ceil(self.x1), math.ceil(self.y1))


def size_of(array: object) -> Size:
    """The size of an image or mask array, height x width x ..."""
    height, width = array.shape[:2]  # type: ignore[attr-defined]
    return Size(width, height)

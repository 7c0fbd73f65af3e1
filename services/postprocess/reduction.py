"""An object's piece of the photo, and how it is brought down where the canvas shows it much smaller.

Layout, shadow and resampling then work at little more than the canvas's resolution. Once the background's colour is out
of the soft edges, the means of blocks are weighted by alpha. A mask that is much coarser than the blocks has nothing to
lose: its piece is brought down before it is refined and decontaminated, by plain means. These keep the equation that
decontaminate solves, I = a F + (1 - a) B, as the means in its own pyramid do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.services.postprocess.center import visible_boxes
from tensorhop.services.postprocess.solid import DETAIL
from tensorhop.values.geometry import Box, Region, Size
from tensorhop.values.results import VISIBLE, Mask, Placement

KEPT = 2.0  # pixels that are kept, along each side, for a pixel of the canvas
MARGIN = 16  # pixels of background kept around the object; decontaminate learns the background's colour from them
LEVELS = np.arange(256, dtype=np.float32) / 255  # alpha of each value of a byte


@dataclass(frozen=True)
class Piece:
    """An object with the background near it, in blocks of side x side pixels of the photo.

    Every region, box and size is in blocks, as if a block were a pixel of a smaller photo. With a side of 1, blocks are
    the photo's pixels.
    """

    crop: np.ndarray  # uint8, height x width x 3
    alpha: np.ndarray  # height x width, uint8 0 to 255 or float32 0 to 1, as the mask's
    region: Region  # the blocks that crop and alpha cover
    photo: Size
    box: Region | Box  # of what is visible
    wanted: int  # the side of the blocks that the canvas needs; height and width are multiples of it
    side: int = 1
    origin: tuple[int, int] = (0, 0)  # of the blocks, in pixels of the photo

    @classmethod
    def of(cls, crop: np.ndarray, mask: Mask, photo: Size, scale: Callable[[Region], float]) -> Self:
        """An object at the resolution that its canvas needs.

        Args:
            crop: uint8, height x width x 3: the photo's pixels of mask.region.
            mask: the object's, checked.
            photo: size of the whole photo.
            scale: from the visible pixels' box, in pixels of the photo and not empty, to the largest factor by which
                the photo may be resampled.

        Raises:
            InvalidInput: nothing is visible.
        """
        most = 255 if mask.alpha.dtype == np.uint8 else 1
        box, own = visible_boxes(mask.alpha, VISIBLE * most, 0.5 / 255 * most)
        if box.empty:
            raise InvalidInput("mask.alpha", "is empty: nothing in it is above 0.05; a mask must cover an object")
        x, y = mask.region.x0, mask.region.y0
        box, own = box.moved(x, y), own.moved(x, y)
        side = max(1, min(int(1 / (KEPT * scale(box))), max(own.size) // DETAIL, *own.size))
        x0, x1 = whole_blocks(own.x0 - MARGIN, own.x1 + MARGIN, mask.region.x0, mask.region.x1, side)
        y0, y1 = whole_blocks(own.y0 - MARGIN, own.y1 + MARGIN, mask.region.y0, mask.region.y1, side)
        around = Region(x0, y0, x1, y1)
        inner = around.moved(-x, -y).slices
        return cls(crop[inner], mask.alpha[inner], around, photo, box, side)

    def in_blocks(self, weighted: bool) -> Self:
        """The piece brought down to the blocks that its canvas needs; itself if it is already, or need not be.

        Args:
            weighted: weight the colours by alpha, which is uint8. Otherwise every pixel of the crop counts.
        """
        side = self.wanted
        if self.side == side:
            return self
        x, y = self.region.x0, self.region.y0
        size = Size(self.region.size.width // side, self.region.size.height // side)
        crop = cv2.resize(self.crop, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA)
        if weighted:
            weigh(crop, alpha, self.crop, self.alpha, side)
        cut = self.region.y1 + side > self.photo.height  # the photo's lower edge cuts the object
        return replace(
            self,
            crop=crop,
            alpha=alpha,
            region=Region.of(size),
            photo=Size(size.width, size.height if cut else size.height + 1),
            box=Box(*((edge - start) / side for edge, start in zip(self.box, (x, y, x, y), strict=True))),
            side=side,
            origin=(x, y),
        )

    @property
    def opacity(self) -> np.ndarray:
        """The alpha as float32, 0 to 1."""
        return cv2.LUT(self.alpha, LEVELS) if self.alpha.dtype == np.uint8 else self.alpha

    def of_photo(self, placement: Placement) -> Placement:
        """The placement of the photo's pixels, from that of the blocks."""
        scale = placement.scale / self.side
        x, y = self.origin
        return replace(placement, scale=scale, x=placement.x - scale * x, y=placement.y - scale * y)


def weigh(means: np.ndarray, alpha: np.ndarray, crop: np.ndarray, opacity: np.ndarray, side: int) -> None:
    """Make plain means of colours those that are weighted by alpha, where a block is opaque in part. Changes `means`.

    Args:
        means: uint8, rows x columns x 3, of blocks.
        alpha: uint8, rows x columns, of blocks.
        crop, opacity: of the pixels: uint8, height x width x 3, and height x width.
        side: of a block, in pixels.
    """
    rows, columns = np.nonzero((alpha > 0) & (alpha < 255))
    total = np.zeros((rows.size, 3), np.float32)
    weights = np.full((rows.size, 1), 1e-6, np.float32)
    for y, x in np.ndindex(side, side):
        at = side * rows + y, side * columns + x
        weight = opacity[at].astype(np.float32)[:, None]
        total += weight * crop[at]
        weights += weight
    means[rows, columns] = np.rint(total / weights).astype(np.uint8)


def whole_blocks(first: int, last: int, least: int, most: int, side: int) -> tuple[int, int]:
    """The pixels from `first` to `last`, and a few more to make a whole number of blocks.

    They stay between `least` and `most`. If there is no room for whole blocks, the last pixels, less than a block, are
    left out.
    """
    first, last = max(first, least), min(last, most)
    wanted = -(-(last - first) // side) * side
    last = min(first + wanted, most)
    first = max(last - wanted, least)
    return first, last - (last - first) % side

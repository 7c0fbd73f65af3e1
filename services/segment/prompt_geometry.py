"""From a photo and a box to the input of a network of the SAM family, and from its small masks back to the photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate, pad

from tensorhop.values.geometry import Box, Region, Size, size_of


@dataclass(frozen=True)
class InputFormat:
    """What such a network takes: a square of pixels, normalized."""

    side: int  # pixels
    keeps_ratio: bool  # whether the photo keeps its ratio, and black fills the rest; otherwise the square is filled
    mean: tuple[float, ...]  # of RGB values from 0 to 1
    std: tuple[float, ...]

    def seen(self, photo: Size) -> Size:
        """How large a photo is in the square."""
        if not self.keeps_ratio:
            return Size(self.side, self.side)
        scale = self.side / max(photo)
        return Size(int(photo.width * scale + 0.5), int(photo.height * scale + 0.5))

    def prepared(self, photo: np.ndarray) -> torch.Tensor:
        """A photo (height x width x 3, uint8, sRGB) as the network's input: 1 x 3 x side x side, float32.

        The arithmetic is that of the image processors of transformers: of SamImageProcessorPil for a photo that keeps
        its ratio, otherwise of Sam2ImageProcessor, which needs torchvision.
        """
        width, height = self.seen(size_of(photo))
        mean, std = (torch.tensor(three)[:, None, None] for three in (self.mean, self.std))
        if self.keeps_ratio:
            small = np.array(Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR))
            scaled = torch.from_numpy((small.transpose(2, 0, 1) * (1 / 255)).astype(np.float32))
            return pad((scaled - mean) / std, (0, self.side - width, 0, self.side - height))[None]
        pixels = torch.from_numpy(np.array(photo.transpose(2, 0, 1)))[None]  # a copy: the photo cannot be written to
        resized = interpolate(pixels, (height, width), mode="bilinear", antialias=True).float()
        return (resized - mean * 255) / (std * 255)

    def prompts(self, boxes: Sequence[Box], photo: Size) -> torch.Tensor:
        """Boxes in pixels of a photo as the network takes them: 1 x boxes x 4, float32, in pixels of the square."""
        seen = self.seen(photo)
        scale = np.tile([seen.width / photo.width, seen.height / photo.height], 2)
        return torch.from_numpy((np.array(boxes, np.float32) * scale).astype(np.float32))[None]

    def enlarged(self, logits: torch.Tensor, region: Region, photo: Size) -> torch.Tensor:
        """The part of a mask that shows a region of a photo, at the photo's size.

        It is enlarged as transformers does, by bilinear interpolation, without computing the rest of the photo. For a
        photo that keeps its ratio, that is done in two steps, by way of the square.

        Args:
            logits: height x width of the network's own masks, float32.
            region: not empty.

        Returns:
            height x width of the region, float32.
        """
        seen = self.seen(photo)
        ways = []
        for low, used, full in zip(logits.shape, (seen.height, seen.width), (photo.height, photo.width), strict=True):
            steps = [(self.side, used), (full, full)] if self.keeps_ratio else [(full, full)]
            ways.append(interpolation(low, steps).to(logits.device))
        rows, columns = ways
        return rows[region.y0 : region.y1] @ logits @ columns[region.x0 : region.x1].T


def interpolation(low: int, steps: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Linear interpolation of a row of `low` values, as a matrix.

    Args:
        steps: to how many values the row is brought, and how many of these go on, in turn.

    Returns:
        values x low, float32.
    """
    matrix = torch.eye(low)[None]
    for length, kept in steps:
        matrix = interpolate(matrix, length, mode="linear")[..., :kept]
    return matrix[0].T

"""Swin2SR, run by transformers.

Conde et al. 2022, "Swin2SR: SwinV2 Transformer for Compressed Image Super-Resolution and Restoration"
(arXiv:2209.11345).
"""

from collections.abc import Sequence

import numpy as np
import torch
import transformers

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.checkpoint import load_network
from tensorhop.services.runtime.device import memory_of
from tensorhop.services.upscale.options import SCALES, UpscaleOptions
from tensorhop.services.upscale.tiles import blend_tiles

TILE, OVERLAP = 256, 32  # pixels of the input


class Swin2SR:
    """A network that enlarges by 2 or by 4. One that enlarges by 2 is run twice for scale 4.

    The prompt and the seed are not used.

    Raises:
        InvalidInput: the checkpoint cannot be loaded, or enlarges by another number.
    """

    align = "none"  # it does not shift colours
    largest_batch = 1  # a tile fills a device

    def __init__(self, source: ModelSource, tile: int = TILE, overlap: int = OVERLAP) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        self._tile, self._overlap = tile, overlap
        self._checkpoint = load_network(source, transformers.AutoModelForImageToImage, "a Swin2SR")
        config = self._checkpoint.network.config
        self._factor, self._window = int(config.upscale), int(config.window_size)
        if self._factor not in SCALES or config.num_channels != 3:
            came = f"{config.num_channels} channels by {self._factor}"
            raise InvalidInput("--model", f"{self.name} enlarges {came}; it must be 3 channels by 2 or 4")

    def warm_up(self) -> None:
        self.predict([np.full((32, 32, 3), 127, np.uint8)], UpscaleOptions(scale=self._factor))

    def predict(self, images: Sequence[np.ndarray], options: UpscaleOptions) -> list[np.ndarray]:
        """Each picture `options.scale` times as large.

        Args:
            images: uint8, height x width x 3, sRGB, of any sizes.

        Returns:
            Such arrays. Beside one, the work needs memory for a row of tiles, and for what the network holds of a tile.

        Raises:
            InvalidInput: the scale is 2, and the network enlarges by 4.
            MemoryError: the device has too little memory.
        """
        if options.scale < self._factor:
            raise InvalidInput("scale", f"is {options.scale}; {self.name} enlarges by {self._factor}")
        with memory_of(self._checkpoint.device), torch.inference_mode():
            return [self._enlarged(image, options.scale) for image in images]

    def _enlarged(self, image: np.ndarray, scale: int) -> np.ndarray:
        by = self._factor
        large = blend_tiles(
            image.shape[0] * by,
            image.shape[1] * by,
            self._tile * by,
            self._overlap * by,
            lambda rows, columns: self._tile_of(
                image[rows.start // by : rows.stop // by, columns.start // by : columns.stop // by]
            ),
        )
        return large if by == scale else self._enlarged(large, scale // by)

    def _tile_of(self, tile: np.ndarray) -> np.ndarray:
        """A tile (uint8, height x width x 3), enlarged: float32, 0 to 255."""
        height, width = tile.shape[:2]
        # Whole windows of attention; the network itself would reflect the picture, which a small one is too small for.
        padded = np.pad(tile, ((0, -height % self._window), (0, -width % self._window), (0, 0)), "edge")
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        answer = self._checkpoint.network(**self._checkpoint.to_device({"pixel_values": pixels})).reconstruction[0]
        enlarged: np.ndarray = (answer.float().clamp(0, 1) * 255).permute(1, 2, 0).cpu().numpy()
        return enlarged[: height * self._factor, : width * self._factor]

"""Pictures made larger by the embedded network, tile by tile."""

from collections.abc import Sequence

import cv2
import numpy as np

from tensorhop.services.embedded import weights
from tensorhop.services.runtime.session import run
from tensorhop.services.upscale.options import UpscaleOptions

MARGIN = 8  # pixels to each side that a pixel of the result depends on; tools/train_upscaler.py has the layers
TILE = 128  # pixels a side of the input, without the margin


class EmbeddedUpscaler:
    """A network of the project's own adds to the bicubic enlargement what it predicts that this lacks.

    It sees and predicts luma alone: colours are enlarged bicubically. Scale 4 is scale 2 twice. The prompt and the seed
    are not used. docs/upscale.md has its accuracy, tools/train_upscaler.py how it is trained and its sources.
    """

    name = "embedded"
    revision = weights.revision(weights.UPSCALER_X2)
    digest = weights.digest(weights.UPSCALER_X2)
    align = "none"  # it does not shift colours
    largest_batch = 1  # a tile of one picture uses all cores

    def __init__(self, tile: int = TILE) -> None:
        self._session = weights.session(weights.UPSCALER_X2)
        self._tile = tile

    def warm_up(self) -> None:
        self.predict([np.full((32, 32, 3), 127, np.uint8)], UpscaleOptions())

    def predict(self, images: Sequence[np.ndarray], options: UpscaleOptions) -> list[np.ndarray]:
        """Each picture `options.scale` times as large.

        Args:
            images: uint8, height x width x 3, sRGB, of any sizes.

        Returns:
            Such arrays. Beside one, the work needs a third of the memory of its input, and that of a tile.
        """
        return [self._enlarged(image, options.scale) for image in images]

    def _enlarged(self, image: np.ndarray, scale: int) -> np.ndarray:
        for _ in range(scale // 2):
            image = self._doubled(image)
        return image

    def _doubled(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        result = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
        # Without a margin of the picture's own pixels, its edge would be dark.
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        luma = cv2.copyMakeBorder(luma, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
        for top in range(0, height, self._tile):
            for left in range(0, width, self._tile):
                bottom, right = min(top + self._tile, height), min(left + self._tile, width)
                tile = luma[top : bottom + 2 * MARGIN, left : right + 2 * MARGIN]
                residual = run(self._session, tile[None, None].astype(np.float32) / np.float32(255))[0, 0]
                # Luma added to R, G and B alike changes luma alone.
                block = result[2 * top : 2 * bottom, 2 * left : 2 * right]
                sharper = block + np.rint(residual * np.float32(255))[..., None]
                block[...] = np.clip(sharper, 0, 255)
        return result

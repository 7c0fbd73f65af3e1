"""ViTMatte on PyTorch, by transformers."""

import threading

import numpy as np
import torch
import transformers
from torch.nn.functional import pad

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.postprocess.refiners.trimap import brought_down, refine_by
from tensorhop.services.runtime.checkpoint import load_network, read_normalization
from tensorhop.services.runtime.device import memory_of
from tensorhop.values.geometry import size_of

HALF = (0.5, 0.5, 0.5)
_DIVISOR = 32  # pixels: the network's sides are multiples of it


class VitMatte:
    """ViTMatte (Yao et al. 2024, Information Fusion 103, arXiv:2305.15272).

    It sees the object's piece of the photo and a trimap, with a longer side of at most 1,024 pixels, in its own ratio.

    Raises:
        InvalidInput: as `load_network` and `read_normalization`.
    """

    largest_batch = 1

    def __init__(self, source: ModelSource) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        checkpoint = load_network(source, transformers.AutoModelForImageMatting, "name another ViTMatte")
        self._network, self._device, self._dtype = checkpoint.network, checkpoint.device, checkpoint.dtype
        mean, std = read_normalization(source.path, HALF, HALF)
        self._mean, self._std = (np.array(three, np.float32)[:, None, None] for three in (mean, std))
        self._turn = threading.Lock()  # two runs at once are no faster, and take twice the memory

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: it does not run."""
        try:
            self.alphas(np.full((4, 64, 64), 0.5, np.float32))
        except MemoryError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InvalidInput("--model", f"{self.name} cannot be run: {type(error).__name__}: {reason}") from error

    def in_blocks(self, alpha: np.ndarray, side: int) -> bool:
        """Whether a mask is refined as well in blocks: always, since the canvas shows no more."""
        return True

    def refine(self, crop: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """`refine_by` the network; Refiner.refine says what it takes and gives."""
        return refine_by(self.alphas, brought_down(size_of(alpha)), crop, alpha)

    def alphas(self, seen: np.ndarray) -> np.ndarray:
        """The network's matte of a picture.

        Args:
            seen: float32, 4 x height x width: RGB from 0 to 1, and the trimap: 0, 0.5 (unknown) or 1.

        Returns:
            float32, height x width, 0 to 1.

        Raises:
            MemoryError: the device has too little memory.
        """
        height, width = seen.shape[1:]
        tensor = seen.copy()
        tensor[:3] = (seen[:3] - self._mean) / self._std
        padding = (0, -width % _DIVISOR, 0, -height % _DIVISOR)
        with self._turn, torch.inference_mode(), memory_of(self._device):
            pixels = pad(torch.from_numpy(tensor)[None].to(self._device, self._dtype), padding)
            alphas = self._network(pixel_values=pixels).alphas.float().cpu().numpy()
        return alphas[0, 0, :height, :width]

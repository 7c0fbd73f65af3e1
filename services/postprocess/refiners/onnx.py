"""ViTMatte: as an .onnx file on ONNX Runtime, or on another server."""

import threading

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.postprocess.refiners.trimap import LARGEST, refine_by
from tensorhop.services.runtime.session import TYPES, identity, loading, may_be, open_network, run, told
from tensorhop.values.geometry import Size

WANTED = "a matting network takes n x 4 x height x width of FP32 or FP16, and answers n x 1 x height x width"


class OnnxRefiner:
    """A network like ViTMatte (Yao et al. 2024, arXiv:2305.15272): colours and a trimap in, a matte out.

    It sees the object's piece of the photo stretched to the size that the file states, or else to 1024 x 1024. A file
    of ViTMatte should state it: its positions are computed for the size of the export.

    A published file has the normalization of its preset. Other files take colours with a mean and deviation of 0.5, as
    the checkpoints for PyTorch do.

    Raises:
        InvalidInput: the file is not such a network, or the device does not exist.
    """

    largest_batch = 1

    def __init__(self, source: ModelSource) -> None:
        self.name, self._path = source.name, source.where
        self._session = open_network(source)
        self.size = self._check()
        self.revision, self.digest = identity(source, self._session)
        form = source.preset.onnx if source.preset else None
        mean, std = (form.mean, form.std) if form else ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self._mean, self._std = (np.array(three, np.float32)[:, None, None] for three in (mean, std))
        self._turn = threading.Lock()  # two runs at once are no faster, and take twice the memory

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: it cannot be run, or answers something else than it states."""
        with loading(self._path):
            self.alphas(np.full((4, self.size.height, self.size.width), 0.5, np.float32))

    def in_blocks(self, alpha: np.ndarray, side: int) -> bool:
        """Whether a mask is refined as well in blocks: always, since the canvas shows no more."""
        return True

    def refine(self, crop: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """`refine_by` the network; Refiner.refine says what it takes and gives."""
        return refine_by(self.alphas, self.size, crop, alpha)

    def alphas(self, seen: np.ndarray) -> np.ndarray:
        """The network's matte of a picture of its size.

        Args:
            seen: float32, 4 x height x width: RGB from 0 to 1, and the trimap: 0, 0.5 (unknown) or 1.

        Returns:
            float32, height x width, 0 to 1.

        Raises:
            MemoryError: the device has too little memory.
        """
        tensor = seen.copy()
        tensor[:3] = (seen[:3] - self._mean) / self._std
        with self._turn:
            answer = run(self._session, tensor[None].astype(self._dtype, copy=False))
        if answer.shape != (1, 1, *seen.shape[1:]):
            raise InvalidInput("--model", f"{self._path} answers {list(answer.shape)}; {WANTED}")
        return np.clip(answer[0, 0].astype(np.float32, copy=False), 0, 1)

    def _check(self) -> Size:
        """The size that the file states. Raises InvalidInput: input or output are of another kind or shape."""
        inputs, (output, *_) = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        stated = [side if isinstance(side, int) else LARGEST for side in shape[2:]]
        if len(shape) != 4 or inputs[0].type not in TYPES or not may_be(shape, (1, 4, *stated)):
            raise InvalidInput("--model", f"{self._path} takes {told(*inputs)}; {WANTED}")
        if output.type not in TYPES or not may_be(output.shape, (1, 1, *stated)):
            raise InvalidInput("--model", f"{self._path} answers {told(output)}; {WANTED}")
        self._dtype = TYPES[inputs[0].type]
        height, width = stated
        return Size(width, height)

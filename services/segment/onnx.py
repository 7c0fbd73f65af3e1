"""BiRefNet, IS-Net, U2-Net and their relatives: as .onnx files on ONNX Runtime, or on another server."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET
from tensorhop.models.sources import REMOTE, ModelSource
from tensorhop.services.runtime.session import (
    TYPES,
    fitting_batch,
    identity,
    loading,
    may_be,
    on_gpu,
    open_network,
    run,
    told,
)
from tensorhop.services.segment.input_format import known_format, read_format
from tensorhop.services.segment.saliency_masks import normalized, segment
from tensorhop.values.geometry import Box
from tensorhop.values.results import Mask

log = logging.getLogger(__name__)

_GPU_BATCH = 4  # pictures of 1024 x 1024; not measured
_TOLERANCE = 0.01  # rounding may put a probability this far outside of 0 to 1


class OnnxSegmenter:
    """A network that makes a saliency map of a picture.

    Its first output is read: n x 1 x height x width or n x height x width. The file states the size and dtype of the
    input. The rest comes from the preset. For a file without a preset, it comes from preprocessor_config.json beside
    the file, or else it is ImageNet's mean and standard deviation. Whether the output of such a file needs a sigmoid is
    found out by running it once, when it is loaded: values below 0 or above 1 are not probabilities.

    Raises:
        InvalidInput: the file is not such a network, or the device does not exist.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name = source.name
        self._path = source.where
        self._session = open_network(source)
        batch, size = self._check()
        self.revision, self.digest = identity(source, self._session)
        self.largest_batch = _GPU_BATCH if on_gpu(self._session) and batch != 1 else 1
        input_format = (source.preset and source.preset.onnx) or known_format(source.path)
        self.input_format = input_format or (BIREFNET if source.backend == REMOTE else read_format(source.path.parent))
        self.input_format = replace(
            self.input_format, size=(size[0] or self.input_format.size[0], size[1] or self.input_format.size[1])
        )
        if input_format is None:
            self.input_format = replace(self.input_format, logits=self._has_logits())
        log.info("%s: %s", source.path, self.input_format)

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: it cannot be run, or answers something else than it states."""
        grey, box = np.full((64, 64, 3), 127, np.uint8), Box(0.0, 0.0, 64.0, 64.0)
        with loading(self._path):
            self.largest_batch = fitting_batch(
                self.largest_batch, lambda count: self.predict([grey] * count, [box] * count)
            )

    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]:
        """The mask of the object in one box of each photo; `segment` says how.

        Args:
            images: height x width x 3 each, uint8, sRGB.
            boxes: one for each image, in its pixels; it overlaps the image.

        Raises:
            MemoryError: the device has too little memory.
        """
        return segment(self.probabilities, self.input_format, images, boxes, self.largest_batch)

    def predict_grown(
        self, images: Sequence[np.ndarray], boxes: Sequence[Box], neighbours: Sequence[Sequence[Box]]
    ) -> list[Mask]:
        """The mask of the whole object of which one box of each photo may show a part; `segment` says how."""
        return segment(self.probabilities, self.input_format, images, boxes, self.largest_batch, neighbours)

    def probabilities(self, tensors: np.ndarray) -> np.ndarray:
        """The saliency of a batch of pictures.

        Args:
            tensors: n x 3 x height x width, float32, normalized.

        Returns:
            n x height x width, float32, 0 to 1.

        Raises:
            MemoryError: the device has too little memory.
        """
        answer = self._answer(tensors)
        if self.input_format.logits:
            answer = 1 / (1 + np.exp(-np.clip(answer, -80, 80)))  # exp(89) overflows float32
        return np.clip(answer, 0, 1)

    def _answer(self, tensors: np.ndarray) -> np.ndarray:
        answer = run(self._session, tensors.astype(self._dtype, copy=False))
        if answer.ndim == 4 and answer.shape[1] == 1:
            answer = answer[:, 0]
        if answer.ndim != 3 or len(answer) != len(tensors) or min(answer.shape) < 1:
            raise InvalidInput("--model", f"{self._path} answers {list(answer.shape)}; {_WANTED}")
        return answer.astype(np.float32, copy=False)

    def _check(self) -> tuple[int | None, tuple[int | None, int | None]]:
        """The batch size, height and width that the file states; None for a dimension that it leaves free."""
        inputs, (output, *_) = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or not may_be(shape[1:2], (3,)) or inputs[0].type not in TYPES:
            raise InvalidInput("--model", f"{self._path} takes {told(*inputs)}; {_WANTED}")
        answers_map = len(output.shape) == 3 or (len(output.shape) == 4 and may_be(output.shape[1:2], (1,)))
        if not answers_map or output.type not in TYPES:
            raise InvalidInput("--model", f"{self._path} answers {told(output)}; {_WANTED}")
        self._dtype = TYPES[inputs[0].type]
        batch, _, height, width = (each if isinstance(each, int) else None for each in shape)
        if batch not in (None, 1):
            raise InvalidInput("--model", f"{self._path} takes batches of {batch} only; export it with 1 or a free one")
        return batch, (height, width)

    def _has_logits(self) -> bool:
        """Whether the network answers anything but probabilities, for two pictures with edges and colours."""
        height, width = self.input_format.size
        disc = np.zeros((height, width, 3), np.uint8)
        y, x = np.ogrid[:height, :width]
        disc[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 4) ** 2] = (230, 180, 60)
        with loading(self._path):
            answers = [self._answer(normalized(picture, self.input_format)[None]) for picture in (disc, 255 - disc)]
        return any(answer.min() < -_TOLERANCE or answer.max() > 1 + _TOLERANCE for answer in answers)


_WANTED = "a segmentation network takes n x 3 x height x width of FP32 or FP16, and answers n x 1 x height x width"

"""Pictures made larger by an operator's own network: an .onnx file, or a network on another server."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
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
from tensorhop.services.upscale.options import UpscaleOptions

WANTED = (
    "an upscaling network takes n x 3 x height x width of FP32 or FP16, RGB from 0 to 1, and answers the same 2 or 4 "
    "times as large"
)
WINDOW = 256  # pixels a side that the network sees at once, if it takes any size
MARGIN = 16  # pixels to each side of a window that only help with the rest
GPU_BATCH = 4  # windows; not measured
SCALES = (2, 4)


class NetworkUpscaler:
    """A super-resolution network, such as Real-ESRGAN's, exported as it is usual: RGB in, larger RGB out.

    It sees a picture in windows, of the size that it states or else 256 x 256, which overlap by 32 pixels. A network
    that doubles runs twice for scale 4; the answer of one that makes 4 times as large is halved for scale 2. The prompt
    and the seed are not used.

    Raises:
        InvalidInput: the network is not such a one, or cannot be run.
    """

    largest_batch = 1  # of pictures; the windows of one go together

    def __init__(self, source: ModelSource) -> None:
        self.name, self._where = source.name, source.where
        self._session = open_network(source)
        self.revision, self.digest = identity(source, self._session)
        batch, self._window = self._check()
        self._batch = GPU_BATCH if on_gpu(self._session) and not isinstance(batch, int) else 1
        self._scale = self._find_scale()

    def warm_up(self) -> None:
        """It was run when it was loaded."""

    def predict(self, images: Sequence[np.ndarray], options: UpscaleOptions) -> list[np.ndarray]:
        """Each picture `options.scale` times as large.

        Args:
            images: uint8, height x width x 3, sRGB, of any sizes.

        Returns:
            Such arrays.

        Raises:
            MemoryError: the device has too little memory.
        """
        return [self._enlarged(image, options.scale) for image in images]

    def _enlarged(self, image: np.ndarray, scale: int) -> np.ndarray:
        done = 1
        while done < scale:
            image, done = self._once(image), done * self._scale
        if done > scale:
            size = image.shape[1] * scale // done, image.shape[0] * scale // done
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return image

    def _once(self, image: np.ndarray) -> np.ndarray:
        """The picture as large as the network makes it."""
        (height, width), scale = image.shape[:2], self._scale
        result = np.empty((scale * height, scale * width, 3), np.uint8)
        for places, windows in self._windows(image):
            answers = self._run(windows)
            for (top, left), answer in zip(places, answers, strict=True):
                inner = answer[:, scale * MARGIN : -scale * MARGIN, scale * MARGIN : -scale * MARGIN]
                block = result[scale * top :, scale * left :][: inner.shape[1], : inner.shape[2]]
                pixels = np.rint(np.clip(inner, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
                block[...] = pixels[: block.shape[0], : block.shape[1]]
        return result

    def _windows(self, image: np.ndarray) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
        """Batches of windows (float32, n x 3 x height x width, 0 to 1), and where in the picture each begins."""
        height, width = image.shape[:2]
        rows, columns = (side - 2 * MARGIN for side in self._window)
        places = [(top, left) for top in range(0, height, rows) for left in range(0, width, columns)]
        last_top, last_left = places[-1]
        padded = cv2.copyMakeBorder(  # beyond the picture, its edge
            image,
            *(MARGIN, last_top + rows - height + MARGIN, MARGIN, last_left + columns - width + MARGIN),
            cv2.BORDER_REPLICATE,
        )
        for first in range(0, len(places), self._batch):
            some = places[first : first + self._batch]
            cut = [padded[top : top + self._window[0], left : left + self._window[1]] for top, left in some]
            yield some, np.stack(cut).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)

    def _run(self, windows: np.ndarray) -> np.ndarray:
        """The network's answer to windows. Raises InvalidInput: it is of another shape."""
        answer = run(self._session, np.ascontiguousarray(windows, self._dtype))
        count, _, height, width = windows.shape
        if self._scale and answer.shape != (count, 3, self._scale * height, self._scale * width):
            raise InvalidInput("--model", f"{self._where} answers {list(answer.shape)}; {WANTED}")
        return answer.astype(np.float32, copy=False)

    def _find_scale(self) -> int:
        """By how much the network enlarges. Raises InvalidInput: it cannot be run, or does not."""
        self._scale = 0  # not known yet
        height, width = self._window
        shapes: list[tuple[int, ...]] = []

        def run_batch(count: int) -> None:
            shapes.append(self._run(np.full((count, 3, height, width), 0.5, np.float32)).shape)

        with loading(self._where):
            self._batch = fitting_batch(self._batch, run_batch)
        shape = shapes[-1]
        for scale in SCALES:
            if shape == (self._batch, 3, scale * height, scale * width):
                return scale
        raise InvalidInput("--model", f"{self._where} answers {list(shape)} to {height} x {width} pixels; {WANTED}")

    def _check(self) -> tuple[int | str | None, tuple[int, int]]:
        """The batch size that the network states, and the window. Raises InvalidInput: it is of another kind."""
        inputs, (output, *_) = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        window = [side if isinstance(side, int) else WINDOW for side in shape[2:]]
        fits = len(shape) == 4 and may_be(shape, (1, 3, *window)) and min(window) > 2 * MARGIN
        if not fits or inputs[0].type not in TYPES:
            raise InvalidInput("--model", f"{self._where} takes {told(*inputs)}; {WANTED}")
        if output.type not in TYPES or len(output.shape) != 4 or not may_be(output.shape[1:2], (3,)):
            raise InvalidInput("--model", f"{self._where} answers {told(output)}; {WANTED}")
        self._dtype = TYPES[inputs[0].type]
        height, width = window
        return shape[0], (height, width)

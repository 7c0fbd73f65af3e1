"""Networks in .onnx files that draw an object's shadow."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.services.postprocess.learned.drawing import CHANNELS, SIDE
from tensorhop.services.runtime.session import TYPES, loading, may_be, on_gpu, open_session, run, told

OPTION = "--shadow-model"
RANGES = {(0, 1), (-1, 1)}  # of R, G, B in and out
METADATA = "input_range"  # the key of the file's metadata that says which
WANTED = f"a shadow network takes n x {CHANNELS} x {SIDE} x {SIDE} of FP32 or FP16, and answers n x 3 x {SIDE} x {SIDE}"
GPU_BATCH = 8  # pictures of 512 x 512; not measured


class OnnxShadow:
    """A network in an .onnx file that draws an object's shadow on white.

    Args:
        path: the file.
        colours: "0,1" or "-1,1", the range of R, G, B in and out; "" takes what the file's metadata say under
            `input_range`, or else 0,1.

    Raises:
        InvalidInput: the file is not such a network, or the range is not one of these.
    """

    def __init__(self, path: Path, colours: str = "") -> None:
        source = ModelSource(ModelChoice(str(path)), "onnx", path)
        self._path = path
        self._session = open_session(path, source.choice.device, OPTION)
        self.name, self.revision, self.digest = path.name, source.revision, source.digest
        batch = self._check()
        stated = self._session.get_modelmeta().custom_metadata_map.get(METADATA, "0,1")
        field = f"{OPTION}-range" if colours else f"{OPTION} {path}: {METADATA}"
        self._low, self._high = read_range(colours or stated, field)
        self.largest_batch = GPU_BATCH if on_gpu(self._session) and batch != 1 else 1

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: it cannot be run, or answers something else than it states."""
        with loading(self._path, OPTION):
            self.predict([np.zeros((CHANNELS, SIDE, SIDE), np.float32)])

    def predict(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the network draws.

        Args:
            pictures: float32, 6 x 512 x 512 each: R, G, B of the object on white and its mask, 0 to 1; sine and cosine
                of the bearing to which the shadow falls.

        Returns:
            float32, 512 x 512 x 3 each, 0 to 1: R, G, B.

        Raises:
            MemoryError: the device has too little memory.
            ValueError: the network answers values that are not finite.
        """
        tensors, span = np.stack(pictures), self._high - self._low
        tensors[:, :3] = tensors[:, :3] * span + self._low
        answer = run(self._session, tensors.astype(self._dtype, copy=False))
        if answer.shape != (len(tensors), 3, SIDE, SIDE):
            raise InvalidInput(OPTION, f"names {self._path}, which answers {list(answer.shape)}; {WANTED}")
        if not np.isfinite(answer).all():
            raise ValueError(f"{self.name} answers values that are not finite")
        colours = (answer.astype(np.float32, copy=False) - self._low) / span
        return [*np.clip(colours, 0, 1).transpose(0, 2, 3, 1)]

    def _check(self) -> int | str | None:
        """The batch size that the file states. Raises InvalidInput: input or output are of another kind or shape."""
        inputs, (output, *_) = self._session.get_inputs(), self._session.get_outputs()
        takes = len(inputs) == 1 and inputs[0].type in TYPES and may_be(inputs[0].shape, (1, CHANNELS, SIDE, SIDE))
        if not takes:
            raise InvalidInput(OPTION, f"names {self._path}, which takes {told(*inputs)}; {WANTED}")
        if output.type not in TYPES or not may_be(output.shape, (1, 3, SIDE, SIDE)):
            raise InvalidInput(OPTION, f"names {self._path}, which answers {told(output)}; {WANTED}")
        self._dtype = TYPES[inputs[0].type]
        batch: int | str | None = inputs[0].shape[0]
        return batch


def read_range(text: str, field: str) -> tuple[float, float]:
    """The least and the largest value of a colour. Raises InvalidInput: another range than 0,1 and -1,1."""
    found = re.fullmatch(r"[\[(]?\s*([-+.\d]+)\s*,\s*([-+.\d]+)\s*[\])]?", text.strip())
    try:
        low, high = map(float, found.groups()) if found else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    if (low, high) not in RANGES:
        raise InvalidInput(field, f"is {text[:40]!r}; it must be 0,1 or -1,1")
    return low, high

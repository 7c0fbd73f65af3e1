"""BiRefNet and its relatives on PyTorch, by transformers and the code in their repositories."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageSegmentation

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.device import choose_device, choose_dtype, memory_of
from tensorhop.services.segment.input_format import format_of_repository, read_format
from tensorhop.services.segment.saliency_masks import segment
from tensorhop.values.geometry import Box
from tensorhop.values.results import Mask

_GPU_PIXELS = 4 * 1024 * 1024  # of the pictures in a run; not measured


class HubCodeSegmenter:
    """A network whose code lies beside its weights. The sigmoid of its last output is the saliency.

    BiRefNet answers in this way (https://github.com/ZhengPeng7/BiRefNet). The input is 1024 x 1024 with ImageNet's mean
    and standard deviation; for one of its authors' other networks, known by its name, at the size that they trained it
    at. A preprocessor_config.json in the directory may state others.

    Raises:
        InvalidInput: the operator did not allow the code to run, the code or the weights cannot be loaded, or the
            device does not exist.
    """

    def __init__(self, source: ModelSource) -> None:
        choice = source.choice
        if not choice.trust_remote_code:
            raise InvalidInput(
                "--model",
                f"{choice.model} runs the Python code in its directory; read it, then add --trust-remote-code",
            )
        self._device = choose_device(choice.device)
        self._dtype = choose_dtype(choice.dtype, self._device)
        self.name = source.name
        self.revision = source.revision
        self.digest = source.digest
        named = format_of_repository(source.preset.repo if source.preset else choice.model, source.path.resolve().name)
        self.input_format = read_format(source.path, named or BIREFNET)
        height, width = self.input_format.size
        alone = self._device.type == "cpu" or self.input_format.sides is not None
        self.largest_batch = 1 if alone else max(1, _GPU_PIXELS // (height * width))
        self._model = self._load(source)

    def _load(self, source: ModelSource) -> Any:
        try:
            _check_code(source.path)
            model, report = AutoModelForImageSegmentation.from_pretrained(
                source.path, trust_remote_code=True, dtype=self._dtype, output_loading_info=True
            )
            lacking = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
            if lacking:  # transformers would initialise them at random
                raise InvalidInput(
                    "--model", f"{source.path} lacks weights that its code wants: {', '.join(lacking[:3])}"
                )
            with memory_of(self._device):
                return model.to(self._device).eval()
        except InvalidInput:
            raise
        except Exception as error:  # the repository's own code may raise anything
            reason = " ".join(str(error).split())
            raise InvalidInput(
                "--model", f"{source.path} cannot be loaded: {type(error).__name__}: {reason}"
            ) from error

    def warm_up(self) -> None:
        """Run the network once.

        Raises:
            InvalidInput: the network does not run, or does not answer as BiRefNet does.
        """
        try:
            self.predict([np.full((64, 64, 3), 127, np.uint8)], [Box(0.0, 0.0, 64.0, 64.0)])
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InvalidInput("--model", f"{self.name} cannot be run: {type(error).__name__}: {reason}") from error

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
            ValueError: the network does not answer n x 1 x height x width.
        """
        with torch.inference_mode(), memory_of(self._device):
            answer = self._model(torch.from_numpy(tensors).to(self._device, self._dtype))
            logits = answer if isinstance(answer, torch.Tensor) else answer[-1]
            probabilities = logits.float().sigmoid().cpu().numpy()
        if probabilities.ndim != 4 or probabilities.shape[:2] != (len(tensors), 1):
            raise ValueError(
                f"it answers {list(probabilities.shape)} for {list(tensors.shape)}; [n, 1, h, w] is needed"
            )
        return probabilities[:, 0]


def _check_code(folder: Path) -> None:
    """Raises InvalidInput: code that would run does not lie in the directory."""
    named = json.loads((folder / "config.json").read_bytes()).get("auto_map", {})
    if "AutoModelForImageSegmentation" not in named:
        raise InvalidInput(
            "--model", f"{folder} brings no code for AutoModelForImageSegmentation (auto_map in its config.json)"
        )
    elsewhere = [name for name in named.values() if "--" in str(name)]
    if elsewhere:  # transformers would fetch its latest version
        raise InvalidInput("--model", f"{folder} would run code of another repository: {elsewhere[0]}")

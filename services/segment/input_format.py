"""What a segmentation network of the operator's own wants: its input's size, mean and deviation."""

import json
from dataclasses import replace
from pathlib import Path

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET, PRESETS, OnnxFormat

FILE = "preprocessor_config.json"  # as transformers and transformers.js write it


def known_format(path: Path) -> OnnxFormat | None:
    """The format of a published file, told by its name: u2netp.onnx."""
    for name, preset in PRESETS.items():
        if preset.onnx and path.stem.lower() in (name, Path(preset.url).stem.lower()):
            return preset.onnx
    return None


def read_format(folder: Path) -> OnnxFormat:
    """BiRefNet's format, with what a preprocessor_config.json in the folder (or above a folder named onnx) says.

    Raises:
        InvalidInput: the file is there and cannot be read, or holds other types than it should.
    """
    path = folder / FILE
    if folder.name == "onnx" and not path.is_file():  # as repositories for transformers.js are laid out
        path = folder.parent / FILE
    if not path.is_file():
        return BIREFNET
    try:
        config = json.loads(path.read_bytes())
        input_format = BIREFNET
        if "size" in config:
            input_format = replace(input_format, size=(int(config["size"]["height"]), int(config["size"]["width"])))
        if "image_mean" in config:
            input_format = replace(input_format, mean=_three(config["image_mean"]))
        if "image_std" in config:
            input_format = replace(input_format, std=_three(config["image_std"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput(
            "--model",
            f"{path} does not give size (height and width), image_mean and image_std as transformers writes them",
        ) from error
    return input_format


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue

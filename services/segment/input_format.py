"""The input format of an operator's own segmentation network: size, mean and standard deviation."""

import json
from dataclasses import replace
from pathlib import Path

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET, PRESETS, OnnxFormat

FILE = "preprocessor_config.json"  # as transformers and transformers.js write it


def known_format(path: Path) -> OnnxFormat | None:
    """The format of a published file, known by its name, such as u2netp.onnx; None for another file."""
    for name, preset in PRESETS.items():
        if preset.onnx and path.stem.lower() in (name, Path(preset.url).stem.lower()):
            return preset.onnx
    return None


def read_format(folder: Path) -> OnnxFormat:
    """The format that a folder's preprocessor_config.json states, and BiRefNet's for what it does not state.

    The file may also lie above a folder named onnx.

    Raises:
        InvalidInput: the file exists but cannot be read, or holds values of wrong types.
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

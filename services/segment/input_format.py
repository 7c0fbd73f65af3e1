"""The input format of a segmentation network: size, mean and standard deviation."""

import json
from dataclasses import replace
from pathlib import Path

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import BIREFNET, OnnxFormat
from tensorhop.models.presets.segment import SEGMENT
from tensorhop.values.geometry import Size

_DIVISOR = 32  # pixels
FILE = "preprocessor_config.json"  # as transformers and transformers.js write it


def known_format(path: Path) -> OnnxFormat | None:
    """The format of a published file, known by its name, such as u2netp.onnx; None for another file."""
    for name, preset in SEGMENT.items():
        if preset.onnx and not preset.own_code and path.stem.lower() in (name, Path(preset.url).stem.lower()):
            return preset.onnx
    return None


def format_of_repository(*names: str) -> OnnxFormat | None:
    """The format of a published network, known by the name of its repository, such as BiRefNet_HR; None for others."""
    wanted = {name.rpartition("/")[2].lower() for name in names}
    for preset in SEGMENT.values():
        if preset.onnx and preset.own_code and preset.repo.rpartition("/")[2].lower() in wanted:
            return preset.onnx
    return None


def read_format(folder: Path, unstated: OnnxFormat = BIREFNET) -> OnnxFormat:
    """The format that a folder's preprocessor_config.json states, and `unstated` for what it does not state.

    The file may also lie above a folder named onnx.

    Raises:
        InvalidInput: the file exists but cannot be read, or holds values of wrong types.
    """
    path = folder / FILE
    if folder.name == "onnx" and not path.is_file():  # as repositories for transformers.js are laid out
        path = folder.parent / FILE
    if not path.is_file():
        return unstated
    try:
        config = json.loads(path.read_bytes())
        input_format = unstated
        if "size" in config:
            size = int(config["size"]["height"]), int(config["size"]["width"])
            input_format = replace(input_format, size=size, sides=None)
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


def input_size(input_format: OnnxFormat, picture: Size) -> Size:
    """The size at which a network sees a picture.

    A network that takes pictures at their own size divides each side by 32 (Swin's patches of 4 pixels, halved three
    times). A picture outside its sides is enlarged or reduced, with its ratio kept while both sides fit.
    """
    if input_format.sides is None:
        height, width = input_format.size
        return Size(width, height)
    least, most = input_format.sides
    scale = min(max(1.0, least / min(picture)), most / max(picture))
    return Size(*(max(least, min(most, round(side * scale / _DIVISOR) * _DIVISOR)) for side in picture))


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue

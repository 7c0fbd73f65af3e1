"""What prepares a network's input, from a checkpoint's files, without torchvision."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import transformers
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

_PARTS = {"image_processor", "tokenizer", "video_processor"}


class _Photos:
    """Makes a processor of photos and videos do without the part for videos.

    The video processors of transformers need torchvision, and no service shows a network a video.
    """

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name != "video_processor":
            return super().check_argument_for_proper_class(argument_name, argument)  # type: ignore[misc]


def load_processor(path: Path, config: Any, **options: Any) -> Any:
    """The processor of a network, of transformers.

    Args:
        path: the checkpoint's directory.
        config: of the network, as AutoConfig loads it.
        options: for from_pretrained.

    Raises:
        Exception: of any kind, as transformers raises it: a file is broken, or a package is missing.
    """
    kind = PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or {*kind.get_attributes()} != _PARTS:
        return transformers.AutoProcessor.from_pretrained(path, backend="pil", **options)
    parts = {
        "image_processor": transformers.AutoImageProcessor.from_pretrained(path, backend="pil", **options),
        "tokenizer": transformers.AutoTokenizer.from_pretrained(path, **options),
        "video_processor": None,
    }
    settings, _ = kind.get_processor_dict(path, **options)
    photos: Any = type(kind.__name__, (_Photos, kind), {})
    processor = photos.from_args_and_dict([parts[name] for name in kind.get_attributes()], settings)
    processor.video_processor = SimpleNamespace(num_frames=None, fps=None)  # SmolVLM asks for these with a photo, too
    return processor

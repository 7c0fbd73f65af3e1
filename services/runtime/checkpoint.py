"""Networks and their processors, loaded by transformers from a local directory, never from the internet."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.image_processing_base import ImageProcessingMixin

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.device import choose_device, choose_dtype, memory_of
from tensorhop.services.runtime.processor import load_processor
from tensorhop.services.runtime.quantization import fit_to_cpu, loading_options

# At least one of each must exist. Without one, transformers silently makes a tokenizer without a vocabulary.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


@dataclass(frozen=True)
class Checkpoint:
    """A network that is ready to run, and what prepares its input; None where the service does."""

    network: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype

    def to_device(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """A processor's tensors, of any shape, on the network's device; floating-point ones in its dtype."""
        return {
            name: value.to(self.device, self.dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }


def load(
    source: ModelSource,
    auto: Any,
    wanted: str,
    processor_of: Callable[[Path, dict[str, Any]], Any] | None = None,
) -> Checkpoint:
    """Load a network and its processor.

    Args:
        auto: the class of transformers that picks the network for a config.json, such as AutoModelForImageTextToText.
        wanted: what to name instead, such as "a GroundingDINO"; for the error message.
        processor_of: reads what prepares the network's input from a directory, with options of `from_pretrained`;
            transformers' own way if not given.

    Raises:
        InvalidInput: a file is missing, broken or does not fit the others; the device or dtype is not available; or the
            device has too little memory.
    """
    path, config, options = source.path, _read_config(source), _options(source)
    try:
        if processor_of:
            processor = processor_of(path, options)
        else:
            check_files(path)
            processor = load_processor(path, config, **options)
    except InvalidInput:
        raise
    except Exception as error:
        raise unusable(f"the processor in {path}", error) from error
    return replace(load_network(source, auto, wanted), processor=processor)


def load_network(source: ModelSource, auto: Any, wanted: str) -> Checkpoint:
    """Load a network alone, for a service that prepares its input without a processor of transformers.

    Takes and raises what `load` does.
    """
    device = choose_device(source.choice.device)
    dtype = choose_dtype(source.choice.dtype, device)
    path, config = source.path, _read_config(source)
    options = _options(source) | loading_options(source.choice.dtype, dtype, device)
    try:
        with memory_of(device):
            network, found = auto.from_pretrained(path, config=config, dtype=dtype, output_loading_info=True, **options)
    except MemoryError as error:
        raise _too_large(source, device) from error
    except Exception as error:
        raise unusable(f"the network in {path}", error) from error
    if missing := sorted(found["missing_keys"]):
        raise InvalidInput(
            "--model",
            f"{path} lacks {len(missing)} of the network's weights, such as {missing[0]}; "
            f"get its files again, or {wanted}",
        )
    if "quantization_config" in options:  # it is on its device already
        network.eval()
        fit_to_cpu(network)
    else:
        to_memory(network, device, source)
    return Checkpoint(network, None, device, dtype)


def read_normalization(
    path: Path, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB values from 0 to 1, as a checkpoint's image processor has them.

    Args:
        mean, std: where it does not state them.

    Raises:
        InvalidInput: the checkpoint has no configuration of an image processor, or it cannot be read.
    """
    try:
        stated, _ = ImageProcessingMixin.get_image_processor_dict(path, local_files_only=True)
        return tuple(map(float, stated.get("image_mean", mean))), tuple(map(float, stated.get("image_std", std)))
    except Exception as error:
        raise InvalidInput(
            "--model",
            f"{path} holds no processor configuration that can be read ({' or '.join(_PROCESSORS)}); "
            "get its files again",
        ) from error


def to_memory(network: Any, device: torch.device, source: ModelSource) -> None:
    """Move a network to its device, in evaluation mode.

    Raises:
        InvalidInput: the device has too little memory.
    """
    try:
        with memory_of(device):
            network.to(device).eval()
    except MemoryError as error:
        raise _too_large(source, device) from error


def check_files(path: Path) -> None:
    """Raises InvalidInput: a directory holds no tokenizer, or nothing about the processor."""
    for what, names in (("tokenizer", _TOKENIZERS), ("processor configuration", _PROCESSORS)):
        if not any((path / name).is_file() for name in names):
            raise InvalidInput("--model", f"{path} holds no {what} ({' or '.join(names)}); get its files again")


def reason_of(error: Exception) -> str:
    """The first line of an error's message, or its type if it has none; without a final dot."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:300]


def _options(source: ModelSource) -> dict[str, Any]:
    """What transformers is told of every file: that it is on this machine, and whether code beside it may run."""
    return {"local_files_only": True, "trust_remote_code": source.choice.trust_remote_code}


def _read_config(source: ModelSource) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(source.path, **_options(source))
    except Exception as error:  # a checkpoint can hold any files, so loading it can raise anything
        raise unusable(source.path / "config.json", error) from error


def _too_large(source: ModelSource, device: torch.device) -> InvalidInput:
    return InvalidInput("--model", f"{source.name} does not fit into the memory of {device}")


def unusable(what: object, error: Exception) -> InvalidInput:
    """The error for files that a library cannot load, by what it raised."""
    reason = reason_of(error)
    if isinstance(error, ImportError) or "to be installed" in reason:  # transformers also raises ValueError for one
        return InvalidInput("--model", f"{what} needs a package that is not installed ({reason})")
    return InvalidInput("--model", f"{what} cannot be loaded ({type(error).__name__}: {reason}); get its files again")

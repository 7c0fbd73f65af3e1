"""Networks and their processors, loaded by transformers from a directory of this machine, never from the network."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.runtime.device import choose_device, choose_dtype, memory_of

# Some of these must be there: without one, transformers makes a tokenizer that knows no word, and says nothing.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


@dataclass(frozen=True)
class Checkpoint:
    """A network that is ready to run, and what prepares its input."""

    network: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype

    def to_device(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """A processor's tensors on the network's device, the floating ones in its number type."""
        return {
            name: value.to(self.device, self.dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }


def load(source: ModelSource, auto: Any, kinds: Collection[str], wanted: str) -> Checkpoint:
    """Load a network and its processor.

    Args:
        auto: the class of transformers that knows which network a config.json means, as AutoModelForImageTextToText.
        kinds: the model_type of the networks that can be used.
        wanted: what to ask for instead, as "a GroundingDINO"; for the error.

    Raises:
        InvalidInput: the directory holds another network, a file is missing, broken or does not fit the others, the
            device or number type is not to be had, or the device has too little memory.
    """
    device = choose_device(source.choice.device)
    dtype = choose_dtype(source.choice.dtype, device)
    options = {"local_files_only": True, "trust_remote_code": source.choice.trust_remote_code}
    path = source.path
    try:
        config = transformers.AutoConfig.from_pretrained(path, **options)
    except Exception as error:  # a checkpoint's files are anyone's, and what they raise shares no base but this
        raise _unusable(path / "config.json", error) from error
    own_code = source.choice.trust_remote_code and getattr(config, "auto_map", None)
    if config.model_type not in kinds and not own_code:
        raise InvalidInput("--model", f"{source.name} is a {config.model_type} network; name {wanted}")
    _check_files(path)
    try:
        processor = transformers.AutoProcessor.from_pretrained(path, backend="pil", **options)
    except Exception as error:
        raise _unusable(f"{path}, its processor,", error) from error
    try:
        network, found = auto.from_pretrained(path, config=config, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:
        raise _unusable(f"{path}, its weights,", error) from error
    if missing := sorted(found["missing_keys"]):
        raise InvalidInput(
            "--model",
            f"{path} lacks {len(missing)} of the network's weights, as {missing[0]}; get its files again, or {wanted}",
        )
    to_memory(network, device, source)
    return Checkpoint(network, processor, device, dtype)


def to_memory(network: Any, device: torch.device, source: ModelSource) -> None:
    """Put a network on its device, ready to answer.

    Raises:
        InvalidInput: the device has too little memory.
    """
    try:
        with memory_of(device):
            network.to(device).eval()
    except MemoryError as error:
        raise InvalidInput("--model", f"{source.name} does not fit into the memory of {device}") from error


def _check_files(path: Path) -> None:
    for what, names in (("tokenizer", _TOKENIZERS), ("processor configuration", _PROCESSORS)):
        if not any((path / name).is_file() for name in names):
            raise InvalidInput("--model", f"{path} holds no {what} ({' or '.join(names)}); get its files again")


def _unusable(what: object, error: Exception) -> InvalidInput:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:300]
    return InvalidInput("--model", f"{what} cannot be loaded ({type(error).__name__}: {reason}); get its files again")

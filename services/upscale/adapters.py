"""Low-rank adapters of OSEDiff, read from its file and added to the weights of the networks that they adapt.

Added once, they cost nothing at each run, and need no package such as peft.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tensorhop.errors import InvalidInput

ALPHA = 8  # peft's own lora_alpha, which OSEDiff leaves; an adapter counts by ALPHA / rank
# By part, what the file has: the names of the modules that adapters are for, and the tensors.
PARTS = {
    "unet": (("unet_lora_encoder_modules", "unet_lora_decoder_modules", "unet_lora_others_modules"), "state_dict_unet"),
    "vae": (("vae_lora_encoder_modules",), "state_dict_vae"),
}
_DOWN, _BASE = ".lora_A.", ".base_layer."


def read_adapters(file: Path) -> Mapping[str, Any]:
    """The content of OSEDiff's file of adapters, without running any code in it.

    Raises:
        InvalidInput: it cannot be read, holds more than tensors and names, or is no such file.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InvalidInput("--model", f"{file} cannot be loaded ({type(error).__name__}); get it again") from error
    wanted = [name for modules, tensors in PARTS.values() for name in (*modules, tensors)]
    missing = [name for name in wanted if not isinstance(content, dict) or name not in content]
    if missing:
        raise InvalidInput("--model", f"{file} is no file of OSEDiff's adapters: it lacks {', '.join(missing)}")
    return content


def add_adapters(network: torch.nn.Module, content: Mapping[str, Any], part: str) -> None:
    """Add the adapters of a part, `unet` or `vae`, to its weights: W + ALPHA / rank * B A (Hu et al. 2021, LoRA).

    Args:
        network: in float32, on the CPU; changed in place.

    Raises:
        InvalidInput: adapters are missing, or do not fit the network.
    """
    lists, name = PARTS[part]
    tensors: Mapping[str, torch.Tensor] = content[name]
    adapted = set()
    try:
        with torch.no_grad():
            for key, value in tensors.items():
                if _BASE in key:  # of a layer that was trained as a whole; its adapter comes on top
                    parameter = network.get_parameter(key.replace(_BASE, "."))
                    parameter.copy_(value.view_as(parameter))
            for key, value in tensors.items():
                if _DOWN in key:
                    module, _, adapter = key.partition(_DOWN)
                    weight = network.get_submodule(module).weight
                    up = tensors[f"{module}.lora_B.{adapter}"]
                    # A convolution with a kernel, and then one of 1 x 1, make one convolution with a kernel.
                    change = up.float().flatten(1) @ value.float().flatten(1)
                    weight += ALPHA / len(value) * change.view_as(weight)
                    adapted.add(module)
    except (AttributeError, KeyError, RuntimeError) as error:
        raise InvalidInput("--model", f"{name} does not fit the {part} beside it ({error})") from error
    listed: Sequence[str] = [module for each in lists for module in content[each]]
    if missing := sorted({*listed} - adapted):
        raise InvalidInput("--model", f"{name} lacks {len(missing)} of the adapters, such as that of {missing[0]}")

"""Smaller weights: of 4 or 8 bits instead of 16 or 32, by bitsandbytes."""

from typing import Any

import torch
import transformers


def loading_options(name: str, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """What from_pretrained needs for a `--dtype`; empty if it is no quantized one.

    The weights of the linear layers become NF4 (Dettmers et al. 2023, arXiv:2305.14314) or INT8 (LLM.int8, Dettmers et
    al. 2022, arXiv:2208.07339). All others stay floating-point: embeddings, convolutions, norms, biases, and the layer
    that gives the probabilities of tokens.

    Args:
        name: as an operator names it, such as "nf4".
        dtype: what is computed in.
    """
    if name == "nf4":
        config = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    elif name == "int8":
        config = transformers.BitsAndBytesConfig(load_in_8bit=True)
    else:
        return {}
    return {"quantization_config": config, "device_map": {"": device}}  # such weights are made on their device


def fit_to_cpu(network: Any) -> None:
    """Keep bitsandbytes from a faster path of the CPU (AVX512-BF16) for the layers whose sizes it cannot pack.

    It packs weights for that path as 32 rows of whole blocks of 64, and fails on others. Qwen2.5-VL has such layers,
    with 3,420 rows.
    """
    import bitsandbytes

    for layer in network.modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit) and (layer.out_features % 32 or layer.in_features % 64):
            layer.support_avx512bf16_for_cpu = False

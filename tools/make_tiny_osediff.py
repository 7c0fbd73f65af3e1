"""Make a small OSEDiff with random weights: python tools/make_tiny_osediff.py OUT

The layout of the published parts: a folder of Stable Diffusion 2.1-base as diffusers saves it, with the same kinds of
layers, only fewer and narrower; and OSEDiff's file of adapters, with the names that peft gives them. Nothing is
downloaded, the same seed gives the same weights, and the results mean nothing.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from make_tiny_detectors import clip_tokenizer
from tiny_checkpoints import command, make_all
from transformers import CLIPTextConfig, CLIPTextModel

RANK = 4
TOKENS = 16  # of a prompt
# The layers that OSEDiff adapts, by the ends of their names.
UNET = re.compile(r"(to_[qkv]|to_out\.0|conv\d?|conv_(in|out|shortcut)|proj_(in|out)|ff\.net\.2|ff\.net\.0\.proj)$")
VAE = re.compile(r"^encoder\..*(to_[qkv]|to_out\.0|conv\d?|conv_(in|out|shortcut))$|^quant_conv$")


def osediff(out: Path) -> None:
    """OSEDiff (Wu et al. 2024, arXiv:2406.08177) on Stable Diffusion 2.1-base."""
    tokenizer = clip_tokenizer(TOKENS)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        attention_head_dim=(2, 2, 4, 4),
        cross_attention_dim=32,
        use_linear_projection=True,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32),
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=0.18215,
    )
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    with torch.no_grad():  # as they are initialised, these layers hardly count
        for layer in (unet.conv_out, vae.decoder.conv_out):
            layer.weight.mul_(4)
    parts = {"unet": unet, "vae": vae, "scheduler": scheduler, "tokenizer": tokenizer}
    for name, part in (parts | {"text_encoder": CLIPTextModel(text)}).items():
        part.save_pretrained(out / name)
    torch.save(adapters(unet, vae), out / "osediff.pkl")


def adapters(unet: torch.nn.Module, vae: torch.nn.Module) -> dict[str, object]:
    """The content of OSEDiff's file: names of layers, ranks, and the tensors of their adapters."""
    found = [name for name, _ in unet.named_modules() if UNET.search(name)]
    ends = {"encoder": ("down_blocks", "conv_in"), "decoder": ("up_blocks", "conv_out")}
    kinds: dict[str, list[str]] = {
        kind: [name for name in found if name.startswith(starts)] for kind, starts in ends.items()
    }
    kinds["others"] = [name for name in found if not any(name in names for names in kinds.values())]
    of_vae = [name for name, _ in vae.named_modules() if VAE.search(name)]
    tensors = {key: value for kind, names in kinds.items() for key, value in pairs(unet, names, f"default_{kind}")}
    # It is trained as a whole, too.
    tensors |= {"conv_in.base_layer.weight": unet.conv_in.weight * 1.1, "conv_in.base_layer.bias": unet.conv_in.bias}
    return {
        "vae_lora_encoder_modules": of_vae,
        **{f"unet_lora_{kind}_modules": names for kind, names in kinds.items()},
        "rank_unet": RANK,
        "rank_vae": RANK,
        "state_dict_unet": {key: value.detach().clone() for key, value in tensors.items()},
        "state_dict_vae": dict(pairs(vae, of_vae, "default_encoder")),
    }


def pairs(network: torch.nn.Module, names: Iterable[str], adapter: str) -> Iterable[tuple[str, torch.Tensor]]:
    for name in names:
        weight = network.get_submodule(name).weight
        down = torch.randn(RANK, *weight.shape[1:]) * 0.1
        up = torch.randn(weight.shape[0], RANK, *(1 for _ in weight.shape[2:])) * 0.1
        yield f"{name}.lora_A.{adapter}.weight", down
        yield f"{name}.lora_B.{adapter}.weight", up


def make(out: Path) -> dict[str, Path]:
    """The folder of the checkpoint, by its name."""
    return make_all({"osediff": osediff}, out)


if __name__ == "__main__":
    command(__doc__, make)

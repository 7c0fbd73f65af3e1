"""Make small checkpoints of SAM, SAM-HQ, SAM 2, EdgeTAM and ViTMatte with random weights.

    make test-models
    .venv-models/bin/python tools/make_tiny_promptable.py OUT

The networks and their configuration files are the true ones, only small, and the files are laid out as on the hub.
EdgeTAM needs timm and torchvision, and is left out without them. Nothing is downloaded, and the same seed gives the
same weights. Their answers mean nothing.
"""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_checkpoints import command, make_all, save
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    Sam2VideoConfig,
    Sam2VideoModel,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamModel,
    VitDetConfig,
    VitMatteConfig,
    VitMatteForImageMatting,
)
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.vitmatte.image_processing_pil_vitmatte import VitMatteImageProcessorPil

SIDE, PATCH, WIDTH = 128, 16, 32  # of what the networks see, of its patches, of the features
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

_PROMPTS = {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": PATCH, "mask_input_channels": 4}
_DECODER = {
    "hidden_size": WIDTH,
    "mlp_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 32,
}
_ENCODER = {
    "hidden_size": 32,
    "output_channels": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
    "mlp_dim": 32,
    "window_size": 3,
    "global_attn_indexes": [1],
    "num_pos_feats": WIDTH // 2,
}
_SIZES = [[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2]  # of the features of SAM 2 and EdgeTAM


def sam(out: Path) -> None:
    """SAM (Kirillov et al. 2023, arXiv:2304.02643)."""
    config = SamConfig(vision_config=_ENCODER, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER)
    save(out, SamModel(config), None, 0.15)
    _sam_processor().save_pretrained(out)


def sam_hq(out: Path) -> None:
    """SAM-HQ (Ke et al. 2023, arXiv:2306.01567)."""
    decoder = {**_DECODER, "vit_dim": 32}
    config = SamHQConfig(vision_config=_ENCODER, prompt_encoder_config=_PROMPTS, mask_decoder_config=decoder)
    save(out, SamHQModel(config), None, 0.15)
    _sam_processor().save_pretrained(out)


def sam2(out: Path) -> None:
    """SAM 2 (Ravi et al. 2024, arXiv:2408.00714), as published: the network for videos, which holds that for photos."""
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [8, 4, 8, 4],
        "global_attention_blocks": [3],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": _SIZES,
        "fpn_hidden_size": WIDTH,
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=_PROMPTS,
        mask_decoder_config=_DECODER,
        image_size=SIDE,
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[SIDE // 16, SIDE // 16],
        memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=32,
    )
    save(out, Sam2VideoModel(config), None, 0.15)
    _sam2_processor(out)


def edgetam(out: Path) -> None:
    """EdgeTAM (Zhou et al. 2025, arXiv:2501.07256)."""
    small = {"embed_dim": [8, 16, 24, 32], "depth": [1, 1, 1, 1]}
    vision = {
        "backbone_config": {
            "model_type": "timm_wrapper",
            "architecture": "repvit_m1",
            "num_classes": 2,  # of a head that is left out
            "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3], **small},
        },
        "backbone_channel_list": [32, 24, 16, 8],
        "backbone_feature_sizes": _SIZES,
        "fpn_hidden_size": WIDTH,
    }
    config = EdgeTamConfig(vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER)
    save(out, EdgeTamModel(config), None, 0.3)
    _sam2_processor(out)


def vitmatte(out: Path) -> None:
    """ViTMatte (Yao et al. 2024, arXiv:2305.15272)."""
    backbone = VitDetConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=64,
        pretrain_image_size=64,
        patch_size=16,
        num_channels=4,
        window_block_indices=[0],
        residual_block_indices=[1],
        use_relative_position_embeddings=True,
        window_size=2,
        out_features=["stage2"],
    )
    config = VitMatteConfig(
        backbone_config=backbone,
        hidden_size=16,
        convstream_hidden_sizes=[4, 8, 16],
        fusion_hidden_sizes=[16, 8, 8, 4],
    )
    save(out, VitMatteForImageMatting(config), None, 0.15)
    VitMatteImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(out)


MODELS: dict[str, Callable[[Path], None]] = {"sam": sam, "sam-hq": sam_hq, "sam2": sam2, "vitmatte": vitmatte}
if importlib.util.find_spec("timm") and importlib.util.find_spec("torchvision"):
    MODELS["edgetam"] = edgetam


def make(out: Path) -> dict[str, Path]:
    """All of them, each into a folder of its name in `out`; their paths by name."""
    return make_all(MODELS, out)


def _sam_processor() -> SamImageProcessorPil:
    low = SIDE // 4
    return SamImageProcessorPil(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": low},
        mask_pad_size={"height": low, "width": low},
        **IMAGENET,
    )


def _sam2_processor(out: Path) -> None:
    """What Sam2Processor saves; it cannot be made without torchvision."""
    images: dict[str, Any] = {"image_processor_type": "Sam2ImageProcessor", "size": {"height": SIDE, "width": SIDE}}
    images |= {"mask_size": {"height": SIDE // 4, "width": SIDE // 4}, **IMAGENET}
    stated = {"image_processor": images, "processor_class": "Sam2Processor", "target_size": SIDE}
    (out / "processor_config.json").write_text(json.dumps(stated, indent=2))


if __name__ == "__main__":
    command(__doc__, make)

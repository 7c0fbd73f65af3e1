"""Make small checkpoints of OWLv2, OmDet-Turbo, RT-DETRv2, D-FINE, RF-DETR and SAM 3 with random weights.

    make test-models
    .venv-models/bin/python tools/make_tiny_detectors.py OUT

As with tools/make_tiny_models.py, the networks and tokenizers are the true ones, only small, nothing is downloaded, and
the answers mean nothing.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from make_tiny_models import LETTERS, MARKS, WORDS
from tiny_checkpoints import command, make_all, save
from transformers import (
    CLIPTokenizer,
    DFineConfig,
    DFineForObjectDetection,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    RfDetrConfig,
    RfDetrForObjectDetection,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
    Sam3Config,
    Sam3Model,
)
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

LABELS = ["person", "cat", "cup", "dining table", "hot dog", "Cabinet/shelf"]
SIDE = 64  # pixels, of what the networks see


def clip_tokenizer(longest: int) -> CLIPTokenizer:
    """CLIP's, with a small vocabulary, for phrases of that many tokens."""
    characters = [*MARKS, *LETTERS]
    vocabulary = [*characters, *(f"{one}</w>" for one in characters)]
    merges: list[tuple[str, str]] = []
    for word in dict.fromkeys(WORDS):
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pair = (pieces[-2], pieces[-1])
            merges.append(pair)
            vocabulary.append("".join(pair))
            pieces[-2:] = ["".join(pair)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    indexed = {word: index for index, word in enumerate(dict.fromkeys(vocabulary))}
    return CLIPTokenizer(vocab=indexed, merges=list(dict.fromkeys(merges)), model_max_length=longest)


def _text(tokenizer: CLIPTokenizer, longest: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": longest,
        "projection_dim": 32,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def owlv2(out: Path) -> None:
    """OWLv2 (Minderer et al. 2023, arXiv:2306.09683)."""
    tokenizer = clip_tokenizer(16)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 16,
    }
    config = Owlv2Config(text_config=_text(tokenizer, 16), vision_config=vision, projection_dim=32)
    processor = Owlv2Processor(Owlv2ImageProcessorPil(size={"height": SIDE, "width": SIDE}), tokenizer)
    save(out, Owlv2ForObjectDetection(config), processor, 0.3)


def omdet_turbo(out: Path) -> None:
    """OmDet-Turbo with Swin and CLIP (Zhao et al. 2024, arXiv:2403.06892)."""
    tokenizer = clip_tokenizer(77)
    backbone = {
        "model_type": "swin",
        "image_size": SIDE,
        "embed_dim": 16,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 2,
        "out_indices": [2, 3, 4],
    }
    config = OmDetTurboConfig(
        backbone_config=backbone,
        text_config={"model_type": "clip_text_model", **_text(tokenizer, 77)},
        image_size=SIDE,
        apply_layernorm_after_vision_backbone=False,  # which is for timm's Swin
        text_projection_in_dim=32,
        text_projection_out_dim=32,
        task_encoder_hidden_dim=32,
        class_embed_dim=32,
        num_queries=20,
        encoder_hidden_dim=16,
        encoder_in_channels=[32, 64, 128],
        vision_features_channels=[16, 16, 16],
        encoder_attention_heads=2,
        encoder_dim_feedforward=32,
        decoder_hidden_dim=16,
        decoder_num_heads=2,
        decoder_num_layers=1,
        decoder_dim_feedforward=32,
    )
    save(out, OmDetTurboForObjectDetection(config), DetrImageProcessorPil(size={"height": SIDE, "width": SIDE}), 0.2)
    tokenizer.save_pretrained(out)


_DETR: dict[str, Any] = {
    "id2label": dict(enumerate(LABELS)),
    "label2id": {label: index for index, label in enumerate(LABELS)},
    "encoder_hidden_dim": 32,
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "d_model": 32,
    "num_queries": 20,
    "decoder_in_channels": [32, 32, 32],
    "decoder_ffn_dim": 32,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "encoder_in_channels": [16, 16, 16],
}


def rt_detr_v2(out: Path) -> None:
    """RT-DETRv2 with a ResNet (Lv et al. 2024, arXiv:2407.17140)."""
    backbone = {
        "model_type": "rt_detr_resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_indices": [2, 3, 4],
    }
    config = RTDetrV2Config(backbone_config=backbone, **_DETR)
    save(out, RTDetrV2ForObjectDetection(config), RTDetrImageProcessorPil(size={"height": SIDE, "width": SIDE}), 0.2)


def d_fine(out: Path) -> None:
    """D-FINE with HGNetV2 (Peng et al. 2024, arXiv:2410.13842)."""
    backbone = {
        "model_type": "hgnet_v2",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 16, 16],
        "depths": [1, 1, 1, 1],
        "stem_channels": [3, 8, 8],
        "stage_in_channels": [8, 8, 16, 16],
        "stage_mid_channels": [8, 8, 8, 8],
        "stage_out_channels": [8, 16, 16, 16],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [1, 1, 1, 1],
        "out_indices": [2, 3, 4],
    }
    config = DFineConfig(backbone_config=backbone, **_DETR)
    save(out, DFineForObjectDetection(config), RTDetrImageProcessorPil(size={"height": SIDE, "width": SIDE}), 0.2)


def rf_detr(out: Path) -> None:
    """RF-DETR with DINOv2 (Robinson et al. 2025, arXiv:2511.09554)."""
    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": SIDE,
        "patch_size": 8,
        "num_windows": 2,
        "out_indices": [1, 2],
    }
    config = RfDetrConfig(
        backbone_config=backbone,
        id2label=_DETR["id2label"],
        label2id=_DETR["label2id"],
        d_model=32,
        num_queries=20,
        group_detr=1,
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2,
        decoder_n_points=2,
    )
    save(out, RfDetrForObjectDetection(config), DetrImageProcessorPil(size={"height": SIDE, "width": SIDE}), 0.2)
    path = out / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_processor_type": "RfDetrImageProcessor"}))


def sam3(out: Path) -> None:
    """SAM 3 (Carion et al. 2025, arXiv:2511.16719)."""
    tokenizer = clip_tokenizer(32)
    config = sam3_config(tokenizer)
    save(out, Sam3Model(config), tokenizer, 0.2)
    sizes = {"size": {"height": SIDE, "width": SIDE}, "mask_size": {"height": SIDE // 4, "width": SIDE // 4}}
    halves = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    flags = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "resample": 2}
    images = {"image_processor_type": "Sam3ImageProcessor", **sizes, **halves, **flags}
    processor = {"processor_class": "Sam3Processor", "image_processor": images, "target_size": SIDE}
    (out / "processor_config.json").write_text(json.dumps(processor))


def sam3_config(tokenizer: CLIPTokenizer) -> Sam3Config:
    small = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    patches = SIDE // 16
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 16,
        "window_size": 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": SIDE,
    }
    vision = {
        "backbone_config": backbone,
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[scale * patches] * 2 for scale in (4, 2, 1)],
    }
    return Sam3Config(
        vision_config=vision,
        text_config={"model_type": "clip_text_model", **_text(tokenizer, 32)},
        geometry_encoder_config=small,
        detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 10},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )


MODELS: dict[str, Callable[[Path], None]] = {
    "owlv2": owlv2,
    "omdet-turbo": omdet_turbo,
    "rt-detrv2": rt_detr_v2,
    "d-fine": d_fine,
    "rf-detr": rf_detr,
    "sam3": sam3,
}


def make(out: Path) -> dict[str, Path]:
    """All of them, each into a folder of its name in `out`; their paths by name."""
    return make_all(MODELS, out)


if __name__ == "__main__":
    command(__doc__, make)

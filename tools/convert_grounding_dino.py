"""Make a checkpoint for transformers from one of groundingdino-py: python tools/convert_grounding_dino.py MODEL OUT

MODEL is a directory as --model takes it (docs/detect-groundingdino.md); OUT is one that --model takes without
groundingdino-py. The weights stay the same numbers under other names.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, GroundingDinoProcessor

from tensorhop.models.sources import ModelChoice, ModelSource
from tensorhop.services.detect.grounding_dino_py import GroundingDinoPy

_SWIN = "model.backbone.conv_encoder.model"
_BLOCK = rf"{_SWIN}.swin.encoder.layers.\1.blocks.\2"
_ENCODER, _DECODER = r"model.encoder.layers.\1", r"model.decoder.layers.\1"

# In the order of the names: what a name begins with, and what takes its place.
NAMES = [
    (r"backbone\.0\.patch_embed\.proj", f"{_SWIN}.swin.embeddings.patch_embeddings.projection"),
    (r"backbone\.0\.patch_embed\.norm", f"{_SWIN}.swin.embeddings.norm"),
    (r"backbone\.0\.layers\.(\d+)\.downsample", rf"{_SWIN}.swin.encoder.layers.\1.downsample"),
    (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.norm1", rf"{_BLOCK}.layernorm_before"),
    (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.norm2", rf"{_BLOCK}.layernorm_after"),
    (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.mlp", rf"{_BLOCK}.mlp"),
    (
        r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table",
        rf"{_BLOCK}.attention.relative_position_bias.relative_position_bias_table",
    ),
    (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv", rf"{_BLOCK}.attention.[q_proj|k_proj|v_proj]"),
    (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.proj", rf"{_BLOCK}.attention.o_proj"),
    (r"backbone\.0\.norm1", f"{_SWIN}.hidden_states_norms.stage2"),
    (r"backbone\.0\.norm2", f"{_SWIN}.hidden_states_norms.stage3"),
    (r"backbone\.0\.norm3", f"{_SWIN}.hidden_states_norms.stage4"),
    (r"bert\.(embeddings|encoder)", r"model.text_backbone.\1"),
    (r"feat_map", "model.text_projection"),
    (r"input_proj", "model.input_proj_vision"),
    (r"bbox_embed", "bbox_embed"),
    (r"transformer\.level_embed", "model.level_embed"),
    (r"transformer\.tgt_embed", "model.query_position_embeddings"),
    (r"transformer\.(enc_output(?:_norm)?)\.", r"model.\1."),
    (r"transformer\.enc_out_bbox_embed", "model.encoder_output_bbox_embed"),
    (r"transformer\.encoder\.layers\.(\d+)\.norm1", rf"{_ENCODER}.deformable_layer.self_attn_layer_norm"),
    (r"transformer\.encoder\.layers\.(\d+)\.norm2", rf"{_ENCODER}.deformable_layer.final_layer_norm"),
    (r"transformer\.encoder\.layers\.(\d+)\.linear(\d)", rf"{_ENCODER}.deformable_layer.fc\2"),
    (r"transformer\.encoder\.layers\.(\d+)\.self_attn", rf"{_ENCODER}.deformable_layer.self_attn"),
    (
        r"transformer\.encoder\.text_layers\.(\d+)\.self_attn\.in_proj_",
        rf"{_ENCODER}.text_enhancer_layer.self_attn.[query|key|value].",
    ),
    (
        r"transformer\.encoder\.text_layers\.(\d+)\.self_attn\.out_proj",
        rf"{_ENCODER}.text_enhancer_layer.self_attn.out_proj",
    ),
    (r"transformer\.encoder\.text_layers\.(\d+)\.linear(\d)", rf"{_ENCODER}.text_enhancer_layer.fc\2"),
    (r"transformer\.encoder\.text_layers\.(\d+)\.norm1", rf"{_ENCODER}.text_enhancer_layer.layer_norm_before"),
    (r"transformer\.encoder\.text_layers\.(\d+)\.norm2", rf"{_ENCODER}.text_enhancer_layer.layer_norm_after"),
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.gamma_v", rf"{_ENCODER}.fusion_layer.vision_param"),
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.gamma_l", rf"{_ENCODER}.fusion_layer.text_param"),
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.layer_norm_v", rf"{_ENCODER}.fusion_layer.layer_norm_vision"),
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.layer_norm_l", rf"{_ENCODER}.fusion_layer.layer_norm_text"),
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.attn\.(\w*?)v_proj", rf"{_ENCODER}.fusion_layer.attn.\2vision_proj"),
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.attn\.(\w*?)l_proj", rf"{_ENCODER}.fusion_layer.attn.\2text_proj"),
    (r"transformer\.decoder\.norm", "model.decoder.layer_norm"),
    (r"transformer\.decoder\.ref_point_head", "model.decoder.reference_points_head"),
    (r"transformer\.decoder\.bbox_embed", "model.decoder.bbox_embed"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm1", rf"{_DECODER}.encoder_attn_layer_norm"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm2", rf"{_DECODER}.self_attn_layer_norm"),
    (r"transformer\.decoder\.layers\.(\d+)\.norm3", rf"{_DECODER}.final_layer_norm"),
    (r"transformer\.decoder\.layers\.(\d+)\.catext_norm", rf"{_DECODER}.encoder_attn_text_layer_norm"),
    (r"transformer\.decoder\.layers\.(\d+)\.linear(\d)", rf"{_DECODER}.fc\2"),
    (r"transformer\.decoder\.layers\.(\d+)\.cross_attn", rf"{_DECODER}.encoder_attn"),
    (r"transformer\.decoder\.layers\.(\d+)\.self_attn\.in_proj_", rf"{_DECODER}.self_attn.[query|key|value]."),
    (r"transformer\.decoder\.layers\.(\d+)\.self_attn\.out_proj", rf"{_DECODER}.self_attn.out_proj"),
    (r"transformer\.decoder\.layers\.(\d+)\.ca_text\.in_proj_", rf"{_DECODER}.encoder_attn_text.[query|key|value]."),
    (r"transformer\.decoder\.layers\.(\d+)\.ca_text\.out_proj", rf"{_DECODER}.encoder_attn_text.out_proj"),
]
# Neither is used: BERT's last layer, and places that follow from the window's size.
_LEFT_OUT = re.compile(r"bert\.pooler|.*relative_position_index$")


def renamed(state: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """groundingdino-py's weights under transformers' names; what several share is cut into its parts.

    Raises:
        ValueError: a name is unknown.
    """
    for name, value in state.items():
        if _LEFT_OUT.match(name):
            continue
        pattern, new = next(((old, new) for old, new in NAMES if re.match(old, name)), (None, ""))
        if pattern is None:
            raise ValueError(f"{name} has no name in transformers that is known here")
        new = re.sub(f"^{pattern}", new, name)
        parts = re.search(r"\[(.*)\]", new)
        if not parts:
            yield new, value
            continue
        for part, piece in zip(parts[1].split("|"), value.chunk(3), strict=True):
            yield new.replace(parts[0], part), piece.contiguous()


def configuration(network: Any) -> GroundingDinoConfig:
    """transformers' configuration of a network that groundingdino-py built."""
    swin, transformer = network.backbone[0], network.transformer
    encoder, decoder = transformer.encoder.layers[0], transformer.decoder.layers[0]
    backbone = {
        "model_type": "swin",
        "embed_dim": swin.embed_dim,
        "depths": [len(layer.blocks) for layer in swin.layers],
        "num_heads": [layer.blocks[0].attn.num_heads for layer in swin.layers],
        "window_size": swin.layers[0].window_size,
        "image_size": swin.pretrain_img_size,
        "out_indices": [2, 3, 4],
    }
    return GroundingDinoConfig(
        backbone_config=backbone,
        text_config=network.bert.config.to_dict(),
        d_model=transformer.d_model,
        num_queries=network.num_queries,
        num_feature_levels=network.num_feature_levels,
        encoder_layers=transformer.num_encoder_layers,
        encoder_ffn_dim=encoder.linear1.out_features,
        encoder_attention_heads=encoder.self_attn.num_heads,
        encoder_n_points=encoder.self_attn.num_points,
        decoder_layers=transformer.num_decoder_layers,
        decoder_ffn_dim=decoder.linear1.out_features,
        decoder_attention_heads=decoder.cross_attn.num_heads,
        decoder_n_points=decoder.cross_attn.num_points,
        max_text_len=network.max_text_len,
    )


def convert(model: Path, out: Path) -> None:
    """Raises InvalidInput: what --model would."""
    source = ModelSource(ModelChoice(str(model), device="cpu"), "groundingdino", model)
    checkpoint = GroundingDinoPy(source)._checkpoint
    network = checkpoint.network._network
    converted = GroundingDinoForObjectDetection(configuration(network))
    missing, more = converted.load_state_dict(dict(renamed(network.state_dict())), strict=False)
    # Swin's own last norm comes before the answers that the detector takes.
    missing = [name for name in missing if ".swin.layernorm." not in name]
    if missing or more:
        raise ValueError(f"without weights: {missing}; without a place: {more}")
    converted.save_pretrained(out)
    processor = checkpoint.processor
    GroundingDinoProcessor(processor.image_processor, processor.tokenizer).save_pretrained(out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]))

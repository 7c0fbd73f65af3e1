"""Make small checkpoints of chat models and Florence-2 with random weights: python tools/make_tiny_chatters.py OUT

As tools/make_tiny_models.py: the true networks, tokenizers, processors and chat templates, only small. Nothing is
downloaded, the same seed gives the same weights, and the answers mean nothing.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from make_tiny_models import WORDS
from tiny_checkpoints import command, make_all, save
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    Florence2Config,
    Florence2ForConditionalGeneration,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GemmaTokenizer,
    GPT2Tokenizer,
    InternVLConfig,
    InternVLForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    RobertaTokenizer,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

SPREAD = 0.25


class Parts:
    """The files of a processor as they lie on the hub. Not all processors can be made without torchvision."""

    def __init__(self, images: Any, tokenizer: Any, kind: str, chat_template: str = "", **settings: Any) -> None:
        self.images, self.tokenizer, self.chat_template = images, tokenizer, chat_template
        self.settings = {"processor_class": kind, **settings}

    def save_pretrained(self, out: Path) -> None:
        self.tokenizer.save_pretrained(out)
        self.images.save_pretrained(out)
        (out / "processor_config.json").write_text(json.dumps(self.settings))
        if self.chat_template:
            (out / "chat_template.jinja").write_text(self.chat_template)


# Chat templates in the form of the published ones: the marks around turns and images are theirs.
CHATML = (
    "{%% for message in messages %%}{{ '<|im_start|>' + message.role + '\\n' }}{%% for part in message.content %%}"
    "{%% if part.type == 'image' %%}{{ '%s' }}{%% else %%}{{ part.text }}{%% endif %%}{%% endfor %%}"
    "{{ '<|im_end|>\\n' }}{%% endfor %%}{%% if add_generation_prompt %%}{{ '<|im_start|>assistant\\n' }}{%% endif %%}"
)
SMOLVLM = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}:{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message.role + '\\n' }}"
    "{% for part in message.content %}{% if part.type == 'image' %}<start_of_image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{{ '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


def qwen25_vl(out: Path) -> None:
    """Qwen2.5-VL (Bai et al. 2025, arXiv:2502.13923)."""
    tokenizer = qwen_tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 9})
    template = CHATML % "<|vision_start|><|image_pad|><|vision_end|>"
    processor = Parts(images, tokenizer, "Qwen2_5_VLProcessor", chat_template=template)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    }
    text = {**_text(tokenizer), "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}
    config = Qwen2_5_VLConfig(vision_config=vision, text_config=text, **_qwen_marks(tokenizer))
    save(out, Qwen2_5_VLForConditionalGeneration(config), processor, SPREAD)


def qwen3_vl(out: Path) -> None:
    """Qwen3-VL (Bai et al. 2025, arXiv:2511.21631)."""
    tokenizer = qwen_tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": 32 * 32 * 4, "longest_edge": 32 * 32 * 9}, patch_size=16)
    template = CHATML % "<|vision_start|><|image_pad|><|vision_end|>"
    processor = Parts(images, tokenizer, "Qwen3VLProcessor", chat_template=template)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    text = {**_text(tokenizer), "head_dim": 8, "rope_parameters": rope}
    config = Qwen3VLConfig(vision_config=vision, text_config=text, **_qwen_marks(tokenizer))
    save(out, Qwen3VLForConditionalGeneration(config), processor, SPREAD)


def smolvlm2(out: Path) -> None:
    """SmolVLM2 (Marafioti et al. 2025, arXiv:2504.05299)."""
    vocabulary, merges = byte_pairs("<|endoftext|>")
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    marks = ["<|im_start|>", "<fake_token_around_image>", "<global-img>", "<image>", "<end_of_utterance>", *places]
    tokenizer = GPT2Tokenizer(vocabulary, merges, extra_special_tokens=marks, eos_token="<end_of_utterance>")
    tokenizer.pad_token = "<|endoftext|>"
    images = SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Parts(images, tokenizer, "SmolVLMProcessor", image_seq_len=4, chat_template=SMOLVLM)
    config = SmolVLMConfig(
        vision_config={**_VISION, "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **_text(tokenizer)},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    save(out, SmolVLMForConditionalGeneration(config), processor, SPREAD)


def gemma3(out: Path) -> None:
    """Gemma 3 (Gemma Team 2025, arXiv:2503.19786)."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    turns = ["<start_of_turn>", "<end_of_turn>"]
    named = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    words = [f"▁{word}" for word in WORDS]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*special, "\n", "▁", *letters, *words]))}
    tokenizer = GemmaTokenizer(
        vocabulary, [], extra_special_tokens=turns, model_specific_special_tokens=named, add_bos_token=True
    )
    images = Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    processor = Parts(images, tokenizer, "Gemma3Processor", chat_template=GEMMA, image_seq_length=16)
    text = {**_text(tokenizer), "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64}
    text |= {"eos_token_id": tokenizer.convert_tokens_to_ids("<end_of_turn>"), "pad_token_id": 0, "bos_token_id": 2}
    config = Gemma3Config(
        vision_config={**_VISION, "model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8},
        text_config=text,
        mm_tokens_per_image=16,
        tie_word_embeddings=False,  # with the same weights, a small network repeats its last token for ever
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    save(out, Gemma3ForConditionalGeneration(config), processor, SPREAD)


def internvl(out: Path) -> None:
    """InternVL 3 (Zhu et al. 2025, arXiv:2504.10479)."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = qwen_tokenizer(model_specific_special_tokens=named)
    images = GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=3)
    template = CHATML % "<IMG_CONTEXT>\\n"
    processor = Parts(images, tokenizer, "InternVLProcessor", image_seq_length=4, chat_template=template)
    config = InternVLConfig(
        vision_config={**_VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config={"model_type": "qwen2", **_text(tokenizer)},
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    save(out, InternVLForConditionalGeneration(config), processor, SPREAD)


def florence2(out: Path) -> None:
    """Florence-2 (Xiao et al. 2023, arXiv:2311.06242)."""
    vocabulary, merges = byte_pairs("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    places = [f"<loc_{index}>" for index in range(1000)]
    tasks = ["<od>", "</od>", "<ocr>", "</ocr>", "<cap>", "</cap>", "<grounding>", "</grounding>", "<poly>", "</poly>"]
    tokenizer = RobertaTokenizer(
        vocabulary,
        merges,
        extra_special_tokens=[*tasks, *places],
        model_specific_special_tokens={"image_token": "<image>"},
    )
    images = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False, image_seq_length=5)
    parsing = {"pure_text": {}, "phrase_grounding": {"banned_grounding_tokens": ["it", "that"]}}
    processor = Parts(images, tokenizer, "Florence2Processor", post_processor_config=parsing)
    vision = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [16, 16, 32, 32],
        "num_heads": [1, 1, 2, 2],
        "num_groups": [1, 1, 2, 2],
        "window_size": 4,
        "projection_dim": 32,
    }
    text = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 1024,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }
    config = Florence2Config(vision_config=vision, text_config=text, image_token_id=tokenizer.image_token_id)
    save(out, Florence2ForConditionalGeneration(config), processor, SPREAD)


MODELS: dict[str, Callable[[Path], None]] = {
    "qwen2.5-vl": qwen25_vl,
    "qwen3-vl": qwen3_vl,
    "smolvlm2": smolvlm2,
    "gemma3": gemma3,
    "internvl": internvl,
    "florence-2": florence2,
}

_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def make(out: Path, names: Sequence[str] = tuple(MODELS)) -> dict[str, Path]:
    """Those of the names, each into a folder of its name in `out`; their paths by name."""
    return make_all(MODELS, out, names)


def byte_pairs(*special: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level vocabulary and its merges, with the special tokens first."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([" ".join(WORDS)], vocab_size=500, special_tokens=list(special), show_progress=False)
    read = json.loads(trained.to_str())["model"]
    return read["vocab"], [tuple(pair) for pair in read["merges"]]


def qwen_tokenizer(*marks: str, **named: Any) -> Qwen2Tokenizer:
    vocabulary, merges = byte_pairs("<|endoftext|>")
    return Qwen2Tokenizer(vocabulary, merges, extra_special_tokens=["<|im_start|>", "<|im_end|>", *marks], **named)


def _qwen_marks(tokenizer: Any) -> dict[str, int]:
    marks = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {name: tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()}


def _text(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": 0,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


if __name__ == "__main__":
    command(__doc__, make)

"""Make small checkpoints of BLIP, BLIP-2 and GroundingDINO with random weights: python tools/make_tiny_models.py OUT

The networks, tokenizers and processors are the true ones, only small, and the files are laid out as on the hub, so that
what loads these loads those. Nothing is downloaded, and the same seed gives the same weights. Their answers mean
nothing.
"""

from collections.abc import Callable
from pathlib import Path

from tiny_checkpoints import command, make_all, save
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    GPT2Tokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

SPOKEN = (
    "a an the of on in with and two red blue green black white wooden cup mug coffee tea table cat dog horse "
    "person man woman child car truck bicycle rocket plate spoon chair sofa bed lamp book bottle flower tree "
    "house street sky sea sand snow grass hat shirt dress shoe ball kite bird bear sheep cow apple banana orange "
    "pizza cake laptop phone clock vase train boat plane sitting standing lying running holding wearing looking "
    "next front side top small large photo picture"
)
WORDS = SPOKEN.split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MARKS = [chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isalnum()]


def blip_processor(side: int) -> BlipProcessor:
    """For images of that width and height."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *MARKS, *LETTERS, *WORDS]
    vocabulary += [f"##{letter}" for letter in LETTERS]
    tokenizer = BertTokenizer(vocab=_indexed(vocabulary))
    return BlipProcessor(BlipImageProcessorPil(size={"height": side, "width": side}), tokenizer)


def blip(out: Path) -> None:
    """BLIP (Li et al. 2022, arXiv:2201.12086)."""
    processor = blip_processor(32)
    text = {
        "vocab_size": len(processor.tokenizer) + 2,  # with marks of the start that the tokenizer does not know
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": len(processor.tokenizer),
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    config = BlipConfig(text_config=text, vision_config={**_VISION, "projection_dim": 32}, image_text_hidden_size=32)
    save(out, BlipForConditionalGeneration(config), processor, 0.25)


def blip2(out: Path) -> None:
    """BLIP-2 with OPT (Li et al. 2023, arXiv:2301.12597)."""
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator([" ".join(WORDS)], vocab_size=500, special_tokens=special, show_progress=False)
    trained.save_model(str(out))
    tokenizer = GPT2Tokenizer.from_pretrained(
        out, bos_token="</s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", add_prefix_space=False
    )
    for name in ("vocab.json", "merges.txt"):
        (out / name).unlink()
    processor = Blip2Processor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, num_query_tokens=4)
    text = {
        "model_type": "opt",
        "vocab_size": len(processor.tokenizer),
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 2,
        "eos_token_id": tokenizer("\n").input_ids[-1],  # a caption is a line
        "pad_token_id": 1,
    }
    former = {
        "vocab_size": 8,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = Blip2Config(
        vision_config=_VISION,
        qformer_config=former,
        text_config=text,
        num_query_tokens=4,
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
    )
    save(out, Blip2ForConditionalGeneration(config), processor, 0.25)


def grounding_dino_processor(shortest: int, longest: int) -> GroundingDinoProcessor:
    """For images whose sides are brought to these."""
    # The network looks for BERT's own numbers of [CLS], [SEP], "." and "?".
    vocabulary = ["[PAD]", *(f"[unused{index}]" for index in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += [f"[unused{index}]" for index in range(104, 999)]
    vocabulary += [chr(code) for code in range(ord("!"), ord("A"))] + MARKS + list(LETTERS) + WORDS
    vocabulary += [f"##{letter}" for letter in LETTERS]
    images = GroundingDinoImageProcessorPil(size={"shortest_edge": shortest, "longest_edge": longest})
    return GroundingDinoProcessor(images, BertTokenizer(vocab=_indexed(vocabulary)))


def grounding_dino(out: Path) -> None:
    """GroundingDINO with Swin and BERT (Liu et al. 2023, arXiv:2303.05499)."""
    processor = grounding_dino_processor(96, 160)
    backbone = {
        "model_type": "swin",
        "embed_dim": 16,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 4,
        "out_indices": [2, 3, 4],
    }
    text = {
        "model_type": "bert",
        "vocab_size": len(processor.tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
    }
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        num_queries=30,
        encoder_layers=1,
        encoder_ffn_dim=64,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=64,
        decoder_attention_heads=2,
    )
    save(out, GroundingDinoForObjectDetection(config), processor, 0.06)


MODELS: dict[str, Callable[[Path], None]] = {"blip": blip, "blip2": blip2, "grounding-dino": grounding_dino}

_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def make(out: Path) -> dict[str, Path]:
    """All of them, each into a folder of its name in `out`; their paths by name."""
    return make_all(MODELS, out)


def _indexed(words: list[str]) -> dict[str, int]:
    return {word: index for index, word in enumerate(dict.fromkeys(words))}


if __name__ == "__main__":
    command(__doc__, make)

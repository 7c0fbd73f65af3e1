"""A small GroundingDINO of groundingdino-py's, with random weights, and the same one for transformers.

`make test-groundingdino` runs this folder, in an environment of its own.
"""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import convert_grounding_dino
import groundingdino.config.GroundingDINO_SwinT_OGC as swin_t
import pytest
import torch
from groundingdino.models import build_model
from make_tiny_models import grounding_dino_processor
from tiny_checkpoints import SEED
from transformers import BertConfig

from tensorhop.services.detect import grounding_dino_py
from tensorhop.services.detect.bert_shim import text_encoder

SMALL = {"shortest_edge": 96, "longest_edge": 160}  # what photos are resized to, in place of 800 and 1333

# Their own configuration of Swin-T, but for the sizes that they let one choose.
VALUES = {name: value for name, value in vars(swin_t).items() if not name.startswith("__")} | {
    "enc_layers": 1,
    "dec_layers": 2,
    "dim_feedforward": 64,
    "num_queries": 30,
}
BERT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
}


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as --model takes it: a .pth, its configuration, the text encoder without weights."""
    path = tmp_path_factory.mktemp("groundingdino-py")
    tokenizer = grounding_dino_processor(800, 1333).tokenizer
    bert = BertConfig(vocab_size=len(tokenizer), **BERT)
    torch.manual_seed(SEED)
    with text_encoder(tokenizer, bert):
        network = build_model(SimpleNamespace(**VALUES))
    with torch.no_grad():
        for name, value in network.named_parameters():
            # As they are initialised, answers hardly depend on the photo, and all boxes are alike.
            if value.ndim > 1:
                value.normal_(0, 0.03 if name.startswith("backbone") else 0.05)
            else:
                value.add_(torch.randn_like(value) * 0.05)
    # As the authors' files are: from several GPUs, with weights that only training needs.
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    state["module.label_enc.weight"] = torch.zeros(2001, 256)
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save({"model": state}, path / "tiny.pth")
    (path / "tiny.cfg.py").write_text("".join(f"{name} = {value!r}\n" for name, value in VALUES.items()))
    tokenizer.save_pretrained(path / "bert-base-uncased")
    bert.save_pretrained(path / "bert-base-uncased")
    return path


@pytest.fixture(scope="session")
def converted(theirs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as a directory of transformers."""
    path = tmp_path_factory.mktemp("transformers")
    convert_grounding_dino.convert(theirs, path)
    return path


@pytest.fixture(scope="session")
def small(converted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`converted`, for photos resized to SMALL."""
    path = tmp_path_factory.mktemp("small")
    shutil.copytree(converted, path, copy_function=os.symlink, dirs_exist_ok=True)
    processor = json.loads((path / "processor_config.json").read_text())
    processor["image_processor"]["size"] = SMALL
    (path / "processor_config.json").unlink()
    (path / "processor_config.json").write_text(json.dumps(processor))
    return path


@pytest.fixture
def small_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded while this lasts resizes photos to SMALL."""
    monkeypatch.setattr(grounding_dino_py, "SIDES", SMALL)

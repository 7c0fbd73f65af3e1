"""`--dtype nf4` and `--dtype int8`: which weights become smaller, and that the networks still answer.

`make test-quantize` runs this folder, in an environment of its own: it needs the extra "quantize".
"""

from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import numpy as np
import pytest
import torch
from make_tiny_chatters import make as make_chatters
from make_tiny_models import make as make_models

from tensorhop.models.sources import ModelChoice
from tensorhop.rpc.service import Service
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.services.detect.service import SERVICE as DETECT

CLASSES = {
    "nf4": (bnb.nn.Linear4bit, bnb.nn.Params4bit, torch.uint8),
    "int8": (bnb.nn.Linear8bitLt, bnb.nn.Int8Params, torch.int8),
}
PHOTO = np.random.default_rng(5).integers(0, 256, (60, 90, 3), np.uint8)
CASES = [
    (DESCRIBE, "blip2", "language_model"),
    (DESCRIBE, "qwen2.5-vl", "layers.0.mlp"),
    (DESCRIBE, "smolvlm2", "layers.0.mlp"),
    (DESCRIBE, "florence-2", "decoder.layers"),
    (DETECT, "florence-2", "decoder.layers"),
    (DETECT, "grounding-dino", "decoder.layers"),
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("checkpoints")
    return make_models(out) | make_chatters(out, ("qwen2.5-vl", "smolvlm2", "florence-2"))


def loaded(service: Service, path: Path, dtype: str) -> Any:
    return service.load(ModelChoice(str(path), "cpu", dtype)).model


@pytest.mark.parametrize("dtype", CLASSES)
@pytest.mark.parametrize(("service", "name", "inner"), CASES, ids=lambda value: getattr(value, "name", value))
def test_linear_layers_become_smaller_and_the_network_answers(
    paths: dict, monkeypatch: pytest.MonkeyPatch, service: Service, name: str, inner: str, dtype: str
) -> None:
    monkeypatch.setattr("tensorhop.services.detect.families.florence.LONGEST", 20)
    model = loaded(service, paths[name], dtype)
    network = model._checkpoint.network
    layer, weights, stored = CLASSES[dtype]
    smaller = {name: part for name, part in network.named_modules() if isinstance(part, layer)}
    assert any(inner in name for name in smaller)
    for part in smaller.values():
        assert isinstance(part.weight, weights)
        assert part.weight.dtype == stored
    for part in network.modules():  # what stays as it was
        if isinstance(part, torch.nn.Embedding | torch.nn.Conv2d | torch.nn.LayerNorm):
            assert part.weight.dtype == torch.float32
    head = network.get_output_embeddings() if name != "grounding-dino" else None
    assert head is None or (type(head) is torch.nn.Linear and head.weight.dtype == torch.float32)
    assert not network.training
    if service is DESCRIBE:
        (one,) = model.predict([PHOTO])
        assert one.text
        assert 0 <= one.score <= 1
    else:
        ((found, warnings),) = model.predict([PHOTO], [["cat", "cup"]], 0.0, 1.0)
        assert {one.label for one in found} <= {"cat", "cup"}
        assert warnings == []
        assert found or name == "florence-2"


def test_answers_of_int8_are_near_those_of_float32(paths: dict) -> None:
    """As far as boxes of random weights can tell: most of the best ones stay."""
    exact, smaller = (loaded(DETECT, paths["grounding-dino"], dtype) for dtype in ("float32", "int8"))
    ((first, _),), ((second, _),) = (model.predict([PHOTO], [["cat", "cup"]], 0.0, 1.0) for model in (exact, smaller))
    assert len(first) == len(second)
    assert np.mean([abs(a.score - b.score) for a, b in zip(first, second, strict=True)]) < 0.05

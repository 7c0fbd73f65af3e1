"""Make small segmentation networks with random weights, shaped like BiRefNet: 3 x 64 x 64 in, 1 x 64 x 64 logits out.

    make test-models
    .venv-models/bin/python tools/make_tiny_segmenters.py OUT

OUT/free.onnx takes any batch, OUT/fixed.onnx a batch of 1; OUT/tiny-birefnet is a repository with code of its own.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 64
CONFIGURATION = '''"""The configuration of a tiny network for tests."""

from transformers import PretrainedConfig


class TinyConfig(PretrainedConfig):
    model_type = "tiny-birefnet"

    def __init__(self, channels=8, **others):
        self.channels = channels
        super().__init__(**others)
'''
MODELING = '''"""A tiny network for tests that answers as BiRefNet does: a list of maps of logits, the finest last."""

import torch
from transformers import PreTrainedModel

from .configuration_tiny import TinyConfig


class TinyBiRefNet(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.inner = torch.nn.Conv2d(3, config.channels, 3, stride=2, padding=1)
        self.outer = torch.nn.Conv2d(config.channels, 1, 3, padding=1)
        self.post_init()

    def forward(self, pictures):
        coarse = self.outer(torch.relu(self.inner(pictures)))
        return [coarse, torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")]
'''


def weights(seed: int = 0, channels: int = 8) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "inner.weight": generator.normal(0, 0.4, (channels, 3, 3, 3)).astype(np.float32),
        "inner.bias": generator.normal(0, 0.4, channels).astype(np.float32),
        "outer.weight": generator.normal(0, 0.4, (1, channels, 3, 3)).astype(np.float32),
        "outer.bias": np.zeros(1, np.float32),
    }


def make_onnx(target: Path, batch: str | int) -> None:
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes = [
        helper.make_node("Conv", ["picture", "inner.weight", "inner.bias"], ["low"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["low"], ["features"]),
        helper.make_node("Conv", ["features", "outer.weight", "outer.bias"], ["coarse"], pads=[1] * 4),
        helper.make_node("Resize", ["coarse", "", "scales"], ["logits"], mode="linear"),
    ]
    tensors = {**weights(), "scales": np.array([1, 1, 2, 2], np.float32)}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 1, SIDE, SIDE])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, target)


def make_repository(folder: Path) -> None:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configuration_tiny.py").write_text(CONFIGURATION)
    (folder / "modeling_tiny.py").write_text(MODELING)
    config: dict[str, Any] = {
        "model_type": "tiny-birefnet",
        "architectures": ["TinyBiRefNet"],
        "auto_map": {
            "AutoConfig": "configuration_tiny.TinyConfig",
            "AutoModelForImageSegmentation": "modeling_tiny.TinyBiRefNet",
        },
        "channels": 8,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": SIDE, "width": SIDE}}))
    save_file(weights(), folder / "model.safetensors", metadata={"format": "pt"})


def make(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    make_onnx(out / "free.onnx", "batch")
    make_onnx(out / "fixed.onnx", 1)
    make_repository(out / "tiny-birefnet")


if __name__ == "__main__":
    make(Path(sys.argv[1]))

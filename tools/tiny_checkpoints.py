"""What the scripts that make small checkpoints with random weights share (make_tiny_*.py)."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

SEED = 7
Models = Mapping[str, Callable[[Path], None]]  # by name, what writes a checkpoint into a folder


def make_all(models: Models, out: Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Each model, or those of the names, into a folder of its name in `out`; their paths by name."""
    paths = {name: out / name for name in (models if names is None else names)}
    for name, path in paths.items():
        path.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(SEED)
        models[name](path)
    return paths


def save(out: Path, model: PreTrainedModel, processor: Any, spread: float) -> None:
    """Save a network, and its processor if it is given.

    The weights are spread: as they are initialised, the answers hardly depend on the image.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, spread)
    model.save_pretrained(out)
    if processor is not None:
        processor.save_pretrained(out)


def command(usage: str | None, make: Callable[[Path], Mapping[str, Path]]) -> None:
    """What such a script does: make the checkpoints in the folder that it is given, and print their sizes."""
    if len(sys.argv) != 2:
        sys.exit(usage)
    for name, path in make(Path(sys.argv[1])).items():
        print(f"{name}: {path}, {sum(file.stat().st_size for file in path.iterdir()) / 1e6:.1f} MB")

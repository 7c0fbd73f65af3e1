"""What the tests of the models share beside fixtures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# Serves a service's model from a checkpoint, by the operator's further choices: the address, and the model itself.
Serve = Callable[..., tuple[str, Any]]


def out_of_memory(*_: Any, **__: Any) -> None:
    """Failure injection: what PyTorch raises where a GPU is full."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def copied(path: Path, to: Path) -> Path:
    """A checkpoint's files, copied to be changed."""
    for file in path.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to

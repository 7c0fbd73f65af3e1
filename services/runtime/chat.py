"""Chat models of transformers that are shown a picture, and asked about it in one turn."""

import numpy as np
import torch
from PIL import Image

from tensorhop.services.runtime.checkpoint import Checkpoint
from tensorhop.services.runtime.generation import prepared

LONGEST = 100  # the largest aspect ratio that a chat model is shown; Qwen's processors refuse 200


def chats(checkpoint: Checkpoint) -> bool:
    """Whether a network is a chat model: its processor has a chat template."""
    return bool(getattr(checkpoint.processor, "chat_template", None))


def chat_inputs(checkpoint: Checkpoint, image: np.ndarray, question: str, system: str = "") -> dict[str, torch.Tensor]:
    """What a chat model reads about one picture: pixels, and the tokens of a conversation that it is to continue.

    Args:
        image: uint8, height x width x 3, sRGB; repeated at its edge where it is longer and narrower than LONGEST.
        question: what the user says beside the picture.
        system: what the system says before, if anything.
    """
    shown = {"type": "image", "image": Image.fromarray(_widened(image))}
    turns = [{"role": "user", "content": [shown, {"type": "text", "text": question}]}]
    if system:
        turns.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    inputs = checkpoint.processor.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    return prepared(inputs, checkpoint.network)


def special_token(checkpoint: Checkpoint, text: str) -> str | None:
    """The first special token of a network, such as a mark of its chat, that a text holds; None if it holds none."""
    return next((token for token in checkpoint.processor.tokenizer.get_added_vocab() if token in text), None)


def _widened(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    below, right = max(0, -(-width // LONGEST) - height), max(0, -(-height // LONGEST) - width)
    return np.pad(image, ((0, below), (0, right), (0, 0)), "edge") if below or right else image

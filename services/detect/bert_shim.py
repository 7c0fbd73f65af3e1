"""The text encoder that groundingdino-py asks transformers for, by a transformers that is newer than it.

groundingdino-py 0.4.0 takes a BertModel apart and calls three methods of it that transformers 5 has no more. Bert has
them. It also asks for a pretrained BERT, whose weights its checkpoint then replaces: here it gets one without weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from groundingdino.util import get_tokenlizer
from transformers import BertConfig, BertModel


class Bert(BertModel):  # type: ignore[misc]  # transformers has no types here
    """BERT with the methods that it had until transformers 4."""

    def get_extended_attention_mask(self, attention_mask: torch.Tensor, *_: Any) -> torch.Tensor:
        """What to add to the attention's logits: 0 where a token may look, otherwise the least number.

        Args:
            attention_mask: batch x tokens, or batch x tokens x tokens where that depends on who looks.

        Returns:
            batch x 1 x 1 or tokens x tokens.
        """
        seen = attention_mask[:, None] if attention_mask.ndim == 3 else attention_mask[:, None, None]
        least = torch.finfo(self.dtype).min
        return torch.zeros(seen.shape, dtype=self.dtype, device=seen.device).masked_fill(seen == 0, least)

    def invert_attention_mask(self, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.get_extended_attention_mask(attention_mask)

    def get_head_mask(self, head_mask: None, layers: int) -> list[None]:
        """None for each layer: all heads count, as groundingdino-py has it."""
        return [None] * layers


@contextmanager
def text_encoder(tokenizer: Any, config: BertConfig) -> Iterator[None]:
    """While this lasts, groundingdino-py builds its networks with this tokenizer and a new BERT of this configuration.

    Left to itself it would fetch both from the hub.
    """
    names = ("get_tokenlizer", "get_pretrained_language_model")
    theirs = [getattr(get_tokenlizer, name) for name in names]
    for name, ours in zip(names, (lambda _: tokenizer, lambda _: Bert(config)), strict=True):
        setattr(get_tokenlizer, name, ours)
    try:
        yield
    finally:
        for name, function in zip(names, theirs, strict=True):
            setattr(get_tokenlizer, name, function)

"""A shim that lets groundingdino-py use the BERT of a newer transformers as its text encoder.

transformers 5 removed three BERT methods that groundingdino-py 0.4.0 calls; Bert has them. groundingdino-py also loads
a pretrained BERT, whose weights its checkpoint then replaces. Here it gets a BERT without pretrained weights.
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
        """The term to add to the attention's logits: 0 where a token may be attended to, else the dtype's lowest value.

        Args:
            attention_mask: batch x tokens, or batch x tokens x tokens with a row for each attending token; 0 or 1.

        Returns:
            batch x 1 x 1 x tokens, or batch x 1 x tokens x tokens, in the network's dtype.
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
    """Make groundingdino-py build its networks with this tokenizer and a new BERT of this configuration.

    Otherwise it would fetch both from the hub.
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

"""Text that a network writes about photos, token by token, with the probability of each token."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch

from tensorhop.services.runtime.checkpoint import Checkpoint
from tensorhop.services.runtime.device import memory_of

Inputs = Mapping[str, torch.Tensor]  # of one photo and its text; the first axis of each tensor may be joined


@dataclass(frozen=True)
class Written:
    """What a network wrote about one photo, without the text that it was given."""

    tokens: np.ndarray  # int64; the end token and padding are among them
    logs: np.ndarray  # float32, the natural logarithm of the probability of each token

    def score(self, tokens: np.ndarray) -> float:
        """The geometric mean of the probabilities of some tokens; 0 if there are none.

        Args:
            tokens: bool, one for each token; or their indices, int.
        """
        chosen = self.logs[tokens]
        return float(np.exp(chosen.mean())) if chosen.size else 0.0


def prepared(inputs: Mapping[str, Any], network: Any) -> dict[str, torch.Tensor]:
    """The tensors of a processor's answer that the network reads."""
    tensors = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    # Gemma 3 tells photos from text by them; BLIP's tokenizer gives them to a network that refuses them.
    if "token_type_ids" not in signature(network.forward).parameters:
        tensors.pop("token_type_ids", None)
    return tensors


def write(checkpoint: Checkpoint, items: Sequence[Inputs], most: int, longest: int, beams: int) -> list[Written]:
    """What the network writes for each item; the same in a batch as alone.

    Only items whose tensors have the same shapes run together, so nothing is padded.

    Args:
        items: of one photo each, as `prepared` gives them.
        most: how many items run together.
        longest: how many tokens are written for an item at most.
        beams: of the beam search; 1 is greedy.

    Raises:
        MemoryError: the device has too little memory.
    """
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[tuple((name, value.shape) for name, value in item.items())].append(index)
    found: dict[int, Written] = {}
    for group in groups.values():
        for start in range(0, len(group), most):
            batch = group[start : start + most]
            inputs = {name: torch.cat([items[index][name] for index in batch]) for name in items[batch[0]]}
            with memory_of(checkpoint.device), torch.inference_mode():
                found |= dict(zip(batch, _write(checkpoint, inputs, longest, beams), strict=True))
    return [found[index] for index in range(len(items))]


def _write(checkpoint: Checkpoint, inputs: dict[str, torch.Tensor], longest: int, beams: int) -> list[Written]:
    network = checkpoint.network
    answer = network.generate(
        **checkpoint.to_device(inputs),
        max_new_tokens=longest,
        num_beams=beams,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    logs = network.compute_transition_scores(
        answer.sequences, answer.logits, getattr(answer, "beam_indices", None), normalize_logits=True
    )
    new = answer.sequences[:, answer.sequences.shape[1] - logs.shape[1] :]  # the rest is the text that it was given
    return [Written(tokens, row) for tokens, row in zip(new.cpu().numpy(), logs.float().cpu().numpy(), strict=True)]

"""The prompt of a grounded detector: all phrases as one sequence of tokens, and the place of each phrase in it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tensorhop.errors import InvalidInput


@dataclass(frozen=True)
class Prompt:
    """Token ids, the span of each phrase among them, and how many phrases at the end did not fit."""

    ids: tuple[int, ...]
    spans: tuple[slice, ...]
    left_out: int

    @property
    def warnings(self) -> list[str]:
        if not self.left_out:
            return []
        kept = len(self.spans)
        return [
            f"{self.left_out} of {kept + self.left_out} phrases were left out, from phrases[{kept}] on: "
            "the model reads no more tokens at once; ask for them in another call."
        ]


def read(tokenizer: Any, phrases: Sequence[str], delimiters: Collection[int], most: int) -> Prompt:
    """The prompt of as many phrases, from the first on, as fit: in lower case, each followed by a dot.

    Each phrase is tokenized on its own. Tokens at which the network would divide it, such as a dot, are left out. So a
    phrase stays one phrase, whatever it contains.

    Args:
        tokenizer: BERT's.
        delimiters: tokens at which the network divides its text into phrases.
        most: how many tokens the network reads, [CLS] and [SEP] included.

    Raises:
        InvalidInput: no token is left of a phrase, or a phrase alone is too long.
    """
    marks = {*delimiters, *tokenizer.all_special_ids} - {tokenizer.unk_token_id}
    dot = tokenizer.convert_tokens_to_ids(".")
    ids, spans = [tokenizer.cls_token_id], []
    for index, phrase in enumerate(phrases):
        tokens = tokenizer(phrase.lower(), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        tokens = [token for token in tokens if token not in marks]
        if not tokens:
            raise InvalidInput(f"phrases[{index}]", f"is {phrase!r}, of which the model reads nothing; name an object")
        if len(tokens) > most - 3:
            raise InvalidInput(f"phrases[{index}]", f"has {len(tokens)} tokens; the model reads at most {most - 3}")
        if len(ids) + len(tokens) + 2 > most:
            break
        spans.append(slice(len(ids), len(ids) + len(tokens)))
        ids += [*tokens, dot]
    return Prompt((*ids, tokenizer.sep_token_id), tuple(spans), len(phrases) - len(spans))


def read_each(tokenizer: Any, phrases: Sequence[str], most: int) -> tuple[dict[str, Any], list[str]]:
    """Phrases as rows of tokens, each alone and padded to the same length.

    Args:
        tokenizer: CLIP's.
        most: how many tokens the network reads of a phrase, those at its ends included; the rest is left out.

    Returns:
        The tokenizer's tensors, phrases x `most`, and a warning for each phrase that was too long.
    """
    rows = tokenizer(list(phrases), padding="max_length", truncation=True, max_length=most, return_tensors="pt")
    lengths = [len(ids) for ids in tokenizer(list(phrases))["input_ids"]]
    warnings = [
        f"The model reads {most} tokens of a phrase, and {phrase!r} has {length}: its end was left out."
        for phrase, length in zip(phrases, lengths, strict=True)
        if length > most
    ]
    return dict(rows), warnings

"""Captions by image-to-text networks that transformers runs: BLIP, BLIP-2 and others."""

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource
from tensorhop.services.embedded.central import CentralObject
from tensorhop.services.embedded.pixels import float32
from tensorhop.services.runtime.checkpoint import load
from tensorhop.services.runtime.device import memory_of
from tensorhop.settings import current_settings
from tensorhop.values.describe_options import MAX_NEW_TOKENS, NUM_BEAMS, DescribeOptions
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Description

UNSAID = "object"  # the text of a caption without any word
PIECE = "##"  # BERT's prefix of a token that continues a word, here the prompt's last one
BATCH_ON_GPU = 8  # not measured: no GPU was at hand

_AROUND = 0.1  # fraction of the central object's sides that is added around it


class Captioner:
    """Writes a caption of the central object of a photo, or of the whole photo.

    U2-Net-p finds the central object, and the network sees its box, padded by a tenth of its sides. A prompt is removed
    from the answer by its tokens, not by its text.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        self._checkpoint = load(
            source,
            transformers.AutoModelForImageTextToText,
            "a network that writes text about images, such as BLIP",
        )
        self.largest_batch = 1 if self._checkpoint.device.type == "cpu" else BATCH_ON_GPU
        self._central = CentralObject()
        self._turn = threading.Lock()  # tokenizers are not thread-safe, and two runs at once are no faster

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: beside the image it needs a question or a chat."""
        try:
            self.predict([np.full((64, 64, 3), 127, np.uint8)])
        except MemoryError:
            raise
        except Exception as error:  # each processor raises its own error for a missing question
            kind = self._checkpoint.network.config.model_type
            raise InvalidInput(
                "--model", f"{self.name} is a {kind} network and does not write about an image alone ({error})"
            ) from error

    def predict(
        self,
        images: Sequence[np.ndarray],
        options: DescribeOptions = DescribeOptions(),  # noqa: B008  (frozen)
    ) -> list[Description]:
        """Captions for photos.

        Args:
            images: height x width x 3 each, uint8, sRGB.

        Returns:
            A description for each photo. Its text is one line without a final dot, no longer than a phrase may be;
            "object" if the caption has no word. Its score is the geometric mean of the tokens' probabilities. Its
            region is what the network saw.

        Raises:
            InvalidInput: the prompt holds a special token, or is too long for the network.
            MemoryError: the device has too little memory.
        """
        regions = [self._region(image, options.look) for image in images]
        pieces = [image[region.slices] for image, region in zip(images, regions, strict=True)]
        found: list[tuple[str, float]] = []
        for start in range(0, len(pieces), self.largest_batch):
            with self._turn, memory_of(self._checkpoint.device), torch.inference_mode():
                found += self._write(pieces[start : start + self.largest_batch], options)
        return [Description(text, float32(score), region) for (text, score), region in zip(found, regions, strict=True)]

    def _region(self, image: np.ndarray, look: str) -> Region:
        size = size_of(image)
        if look == "whole":
            return Region.of(size)
        box: Box = self._central.find(image).box
        return box.padded(_AROUND).region().intersect(Region.of(size))

    def _write(self, pieces: Sequence[np.ndarray], options: DescribeOptions) -> list[tuple[str, float]]:
        """Text and score for images of any sizes."""
        network, processor = self._checkpoint.network, self._checkpoint.processor
        longest = options.max_new_tokens or MAX_NEW_TOKENS
        given = {"text": [options.prompt] * len(pieces)} if options.prompt else {}
        self._check_prompt(options.prompt, longest)
        inputs = processor(images=[Image.fromarray(piece) for piece in pieces], return_tensors="pt", **given)
        inputs.pop("token_type_ids", None)  # some processors return these, but no network accepts them here
        answer = network.generate(
            **self._checkpoint.to_device(inputs),
            max_new_tokens=longest,
            num_beams=options.num_beams or NUM_BEAMS,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
        logs = network.compute_transition_scores(
            answer.sequences, answer.logits, getattr(answer, "beam_indices", None), normalize_logits=True
        )
        new = answer.sequences[:, answer.sequences.shape[1] - logs.shape[1] :].cpu()  # the rest is the prompt
        said = ~torch.isin(new, torch.tensor(processor.tokenizer.all_special_ids))
        return [
            (one_line(text), float(row[words].mean().exp()) if words.any() else 0.0)
            for text, row, words in zip(
                processor.batch_decode(new, skip_special_tokens=True), logs.float().cpu(), said, strict=True
            )
        ]

    def _check_prompt(self, prompt: str, longest: int) -> None:
        tokenizer = self._checkpoint.processor.tokenizer
        special = _first(token for token in tokenizer.get_added_vocab() if token in prompt)
        if special is not None:
            raise InvalidInput("options.prompt", f"holds {special}, a special token of the network; leave it out")
        room = getattr(self._checkpoint.network.config.get_text_config(), "max_position_embeddings", None)
        length = len(tokenizer(prompt)["input_ids"]) + (getattr(self._checkpoint.processor, "num_query_tokens", 0) or 0)
        if prompt and room and length + longest > room:
            raise InvalidInput(
                "options.prompt", f"has {length} tokens; with max_new_tokens {longest}, {room - longest} are allowed"
            )


def one_line(text: str) -> str:
    """A caption as a phrase: one line without a final dot, cut to the longest length of a phrase; "object" if empty."""
    line = " ".join(text.removeprefix(PIECE).split())[: current_settings().max_phrase_characters]
    return line.rstrip(" .") or UNSAID


def _first(values: Iterable[str]) -> str | None:
    return next(iter(values), None)

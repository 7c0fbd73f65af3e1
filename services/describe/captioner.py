"""Descriptions by networks that write text about a photo, run by transformers: captioners, chat models, Florence-2."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from tensorhop.errors import InvalidInput
from tensorhop.models.presets.describe import CENTRAL
from tensorhop.models.sources import ModelSource
from tensorhop.services.describe.answers import one_line, phrase_of
from tensorhop.services.embedded.central import CentralObject
from tensorhop.services.embedded.pixels import float32
from tensorhop.services.runtime.chat import chat_inputs, chats, special_token
from tensorhop.services.runtime.checkpoint import load, reason_of
from tensorhop.services.runtime.generation import prepared, write
from tensorhop.values.describe_options import MAX_NEW_TOKENS, NUM_BEAMS, DescribeOptions
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Description

FLORENCE = "florence2"  # its model_type
CAPTIONS = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")  # of Florence-2's tasks, those that describe
BATCH_ON_GPU = 8  # not measured: no GPU was at hand

_AROUND = 0.1  # fraction of the central object's sides that is added around it


class Captioner:
    """Describes the central object of a photo, or the whole photo.

    U2-Net-p finds the central object, and the network sees its box, padded by a tenth of its sides. What the network is
    given beside that depends on its kind:

    - A chat model, which has a chat template, is asked a question about the photo in one turn of its user.
    - Florence-2 is given one of its tasks.
    - A captioner, such as BLIP, is given nothing, or the beginning of its answer.

    The question is the caller's prompt; or else the preset's; or else, for a chat model, CENTRAL, and for Florence-2,
    <CAPTION>. It is removed from the answer by its tokens, not by its text.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        self._checkpoint = load(
            source,
            transformers.AutoModelForImageTextToText,
            "a network that writes text about images, such as BLIP",
        )
        self._kind: str = self._checkpoint.network.config.model_type
        self._chats = chats(self._checkpoint)
        own = CENTRAL if self._chats else CAPTIONS[0] if self._kind == FLORENCE else ""
        self._question = source.preset.question if source.preset else own
        self.largest_batch = 1 if self._checkpoint.device.type == "cpu" else BATCH_ON_GPU
        self._central = CentralObject()
        self._turn = threading.Lock()  # tokenizers are not thread-safe, and two runs at once are no faster

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: it needs more than a photo and a question."""
        try:
            self.predict([np.full((64, 64, 3), 127, np.uint8)])
        except MemoryError:
            raise
        except Exception as error:  # each processor raises its own error for what it misses
            raise InvalidInput(
                "--model",
                f"{self.name} is a {self._kind} network and does not write about a photo ({reason_of(error)}); "
                "describe runs captioners, chat models with a chat template, and Florence-2",
            ) from error

    def predict(
        self,
        images: Sequence[np.ndarray],
        options: DescribeOptions = DescribeOptions(),  # noqa: B008  (frozen)
    ) -> list[Description]:
        """Descriptions of photos.

        Args:
            images: height x width x 3 each, uint8, sRGB.

        Returns:
            A description for each photo. Its text is one line without a final dot, no longer than a phrase may be;
            "object" if the answer has no word. Of a model that is asked a question by default, it is the phrase in the
            answer. Its score is the geometric mean of the tokens' probabilities, of the whole answer. Its region is
            what the network saw.

        Raises:
            InvalidInput: the prompt holds a special token, is too long for the network, or is no task of Florence-2's.
            MemoryError: the device has too little memory.
        """
        longest, beams = options.max_new_tokens or MAX_NEW_TOKENS, options.num_beams or NUM_BEAMS
        regions = [self._region(image, options.look) for image in images]
        tokenizer = self._checkpoint.processor.tokenizer
        with self._turn:
            self._check_prompt(options.prompt)
            items = [
                self._prepare(image[region.slices], options.prompt or self._question)
                for image, region in zip(images, regions, strict=True)
            ]
            self._check_length(options.prompt, items, longest)
            written = write(self._checkpoint, items, self.largest_batch, longest, beams)
            texts = [tokenizer.decode(one.tokens, skip_special_tokens=True) for one in written]
        special = np.array(tokenizer.all_special_ids)
        as_phrase = phrase_of if self._question else one_line
        return [
            Description(as_phrase(text), float32(one.score(~np.isin(one.tokens, special))), region)
            for text, one, region in zip(texts, written, regions, strict=True)
        ]

    def _region(self, image: np.ndarray, look: str) -> Region:
        size = size_of(image)
        if look == "whole":
            return Region.of(size)
        box: Box = self._central.find(image).box
        return box.padded(_AROUND).region().intersect(Region.of(size))

    def _prepare(self, piece: np.ndarray, text: str) -> dict[str, torch.Tensor]:
        """What the network reads about one photo: pixels, and tokens of the text."""
        if self._chats:
            return chat_inputs(self._checkpoint, piece, text)
        given: dict[str, Any] = {"text": [text]} if text else {}
        inputs = self._checkpoint.processor(images=[Image.fromarray(piece)], return_tensors="pt", **given)
        return prepared(inputs, self._checkpoint.network)

    def _check_prompt(self, prompt: str) -> None:
        if prompt and self._kind == FLORENCE and prompt not in CAPTIONS:
            raise InvalidInput("options.prompt", f"is {prompt!r}; Florence-2 describes by {', '.join(CAPTIONS)}")
        if (special := special_token(self._checkpoint, prompt)) is not None:
            raise InvalidInput("options.prompt", f"holds {special}, a special token of the network; leave it out")

    def _check_length(self, prompt: str, items: Sequence[dict[str, torch.Tensor]], longest: int) -> None:
        room = getattr(self._checkpoint.network.config.get_text_config(), "max_position_embeddings", None)
        if not prompt or not room:
            return
        length = max(item["input_ids"].shape[1] for item in items)
        if length + longest > room:
            raise InvalidInput(
                "options.prompt", f"has {length} tokens; with max_new_tokens {longest}, {room - longest} are allowed"
            )

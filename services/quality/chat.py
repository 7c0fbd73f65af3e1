"""Quality by a chat model, such as Qwen2.5-VL, that replies with scores in words."""

import hashlib
import threading
from collections.abc import Sequence

import numpy as np
import transformers

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource, digest_of_all
from tensorhop.services.quality.prompt import OPTION, PAIR, PICTURE, read_prompt
from tensorhop.services.quality.reply import read_reply
from tensorhop.services.quality.result import QualityResult
from tensorhop.services.runtime.chat import chat_inputs, chats, special_token
from tensorhop.services.runtime.checkpoint import load, reason_of
from tensorhop.services.runtime.generation import write
from tensorhop.settings import current_settings

MAX_NEW_TOKENS = 512  # of a reply; one that has no final score by then has none
BATCH_ON_GPU = 8  # not measured: no GPU was at hand


class ChatScorer:
    """A chat model is given the operator's prompt as what the system says, and a picture as what its user shows.

    A pair is one picture, side by side. The digest covers the prompt and the scale beside the weights, so that a cache
    does not give the scores of another prompt.

    Raises:
        InvalidInput: the checkpoint cannot be loaded or is no chat model, or the prompt cannot be used.
    """

    def __init__(self, source: ModelSource) -> None:
        settings = current_settings()
        self._prompt, self._scale = read_prompt(settings.quality_prompt), settings.quality_scale
        self.name, self.revision = source.name, source.revision
        own = hashlib.sha256(f"{self._scale} {self._prompt}".encode()).hexdigest()
        self.digest = digest_of_all([source.digest, own])
        self._checkpoint = load(
            source, transformers.AutoModelForImageTextToText, "a chat model that sees pictures, such as Qwen2.5-VL"
        )
        if not chats(self._checkpoint):
            kind = self._checkpoint.network.config.model_type
            raise InvalidInput(
                "--model", f"{self.name} is a {kind} network without a chat template; quality runs chat models"
            )
        if (special := special_token(self._checkpoint, self._prompt)) is not None:
            raise InvalidInput(OPTION, f"holds {special}, a special token of {self.name}; leave it out")
        self.largest_batch = 1 if self._checkpoint.device.type == "cpu" else BATCH_ON_GPU
        self._turn = threading.Lock()  # tokenizers are not thread-safe, and two runs at once are no faster

    def warm_up(self) -> None:
        """Run the network once. Raises InvalidInput: its chat template takes no prompt of the system, or no picture."""
        try:
            self._replies([np.full((64, 64, 3), 127, np.uint8)], PICTURE, longest=1)
        except MemoryError:
            raise
        except Exception as error:  # each processor and chat template raises its own error
            raise InvalidInput(
                "--model", f"{self.name} does not answer a prompt and a picture ({reason_of(error)})"
            ) from error

    def predict(self, images: Sequence[np.ndarray], pairs: bool) -> list[QualityResult]:
        """The quality of each picture, as `read_reply` finds it in the reply.

        Args:
            images: uint8, height x width x 3, sRGB.
            pairs: whether each is a pair, its halves beside each other.

        Raises:
            MemoryError: the device has too little memory.
        """
        replies = self._replies(images, PAIR if pairs else PICTURE, MAX_NEW_TOKENS)
        return [read_reply(reply, self._scale) for reply in replies]

    def _replies(self, images: Sequence[np.ndarray], question: str, longest: int) -> list[str]:
        with self._turn:
            items = [chat_inputs(self._checkpoint, image, question, self._prompt) for image in images]
            written = write(self._checkpoint, items, self.largest_batch, longest, beams=1)
            tokenizer = self._checkpoint.processor.tokenizer
            return [tokenizer.decode(one.tokens, skip_special_tokens=True) for one in written]

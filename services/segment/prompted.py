"""Masks of boxes by networks of the SAM family, run by transformers."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from blake3 import blake3
from cachetools import LRUCache

from tensorhop.errors import InvalidInput
from tensorhop.extras import pip_install
from tensorhop.models.presets.preset import IMAGENET_MEAN, IMAGENET_STD
from tensorhop.models.sources import ModelSource, check_installed
from tensorhop.services.runtime.checkpoint import load_network, read_normalization
from tensorhop.services.runtime.device import memory_of
from tensorhop.services.runtime.families import read_config
from tensorhop.services.segment.instances import trimmed_mask
from tensorhop.services.segment.prompt_geometry import InputFormat
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Mask

BOXES = 16  # that the decoder takes at once, about 20 MB each; not measured on a GPU
KEPT_BYTES = 256 * 2**20  # of all embeddings that are kept: sixteen photos of SAM 2 in float32
_PADDING = 0.2  # fraction of the box's sides by which a mask may reach beyond the box

Embedding = dict[str, Any]  # what the network calls its parts, and one or several tensors


class PromptedSegmenter:
    """A network that makes a mask of the thing that a box shows.

    SAM (Kirillov et al. 2023, arXiv:2304.02643), SAM-HQ (Ke et al. 2023, arXiv:2306.01567), SAM 2 (Ravi et al. 2024,
    arXiv:2408.00714) and EdgeTAM (Zhou et al. 2025, arXiv:2501.07256).

    Its encoder sees the whole photo, once, whatever the number of boxes; what it answers, the embedding, is kept for
    the next request about the same photo, by the content of its pixels. Its small decoder runs for the boxes. Of its
    three masks, the one counts for which the network predicts the largest intersection over union.

    Raises:
        InvalidInput: as `load_network`, the checkpoint does not say how its input is prepared, or a package is missing.
    """

    one_photo = True  # a batch holds boxes of one photo: the encoder takes much longer than the decoder

    def __init__(self, source: ModelSource) -> None:
        kind = str(read_config(source).get("model_type"))
        if kind.startswith("edgetam"):  # its encoder is a network of timm, which imports torchvision
            check_installed(source.name, ("timm", "torchvision"), lambda: pip_install("timm", "torchvision"))
        self.name, self.revision, self.digest = source.name, source.revision, source.digest
        checkpoint = load_network(source, transformers.AutoModelForMaskGeneration, "name another SAM")
        self._network, self._device, self._dtype = checkpoint.network, checkpoint.device, checkpoint.dtype
        side = self._network.config.prompt_encoder_config.image_size
        mean, std = read_normalization(source.path, IMAGENET_MEAN, IMAGENET_STD)
        self.input_format = InputFormat(side, kind in ("sam", "sam_hq"), mean, std)
        self.largest_batch = BOXES
        self._kept: LRUCache[Any, Embedding] = LRUCache(KEPT_BYTES, getsizeof=bytes_of)
        self._turn = threading.Lock()  # for what is kept; two runs at once are no faster

    def warm_up(self) -> None:
        """Run the network once.

        Raises:
            InvalidInput: the network does not run.
        """
        try:
            self.predict([np.full((64, 64, 3), 127, np.uint8)], [Box(16.0, 16.0, 48.0, 48.0)])
        except MemoryError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InvalidInput("--model", f"{self.name} cannot be run: {type(error).__name__}: {reason}") from error

    def predict(self, images: Sequence[np.ndarray], boxes: Sequence[Box]) -> list[Mask]:
        """The mask of the thing in one box of each photo.

        Args:
            images: height x width x 3 each, uint8, sRGB. Where several boxes are of one photo, the same array.
            boxes: one for each image, in its pixels; it overlaps the image.

        Returns:
            Masks with uint8 alpha, 0 to 255, the network's probability, which is soft at edges. They reach beyond the
            box by a fifth of its sides at most, and are trimmed to the pixels above 0; 0 x 0 if no pixel reaches 0.5.

        Raises:
            MemoryError: the device has too little memory.
        """
        photos: dict[int, list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            photos[id(image)].append(index)
        masks: dict[int, Mask] = {}
        with self._turn, torch.inference_mode(), memory_of(self._device):
            for indices in photos.values():
                photo = images[indices[0]]
                embedding = self._embedding(photo)
                for start in range(0, len(indices), BOXES):
                    some = indices[start : start + BOXES]
                    masks |= zip(some, self._masks(embedding, photo, [boxes[index] for index in some]), strict=True)
        return [masks[index] for index in range(len(images))]

    def _embedding(self, photo: np.ndarray) -> Embedding:
        key = photo.shape, blake3(np.ascontiguousarray(photo).data.cast("B")).digest()
        if key in self._kept:
            return self._kept[key]
        pixels = self.input_format.prepared(photo).to(self._device, self._dtype)
        found = self._network.get_image_embeddings(pixels)
        if isinstance(found, tuple):  # SAM-HQ, whose decoder reads only the first of the encoder's inner layers
            embedding = {"image_embeddings": found[0], "intermediate_embeddings": list(found[1][:1])}
        else:
            embedding = {"image_embeddings": found}
        if bytes_of(embedding) <= self._kept.maxsize:
            self._kept[key] = embedding
        return embedding

    def _masks(self, embedding: Embedding, photo: np.ndarray, boxes: Sequence[Box]) -> list[Mask]:
        size = size_of(photo)
        prompts = self.input_format.prompts(boxes, size).to(self._device, self._dtype)
        answer = self._network(**embedding, input_boxes=prompts, multimask_output=True)
        best = answer.iou_scores[0].argmax(dim=1)
        masks = []
        for box, three, one in zip(boxes, answer.pred_masks[0].float(), best, strict=True):
            region = box.padded(_PADDING).region().intersect(Region.of(size))
            logits = self.input_format.enlarged(three[one], region, size)
            alpha = (logits.sigmoid() * 255).round().to(torch.uint8).cpu().numpy()
            masks.append(trimmed_mask(alpha if (alpha >= 128).any() else np.zeros_like(alpha), region))
        return masks


def bytes_of(embedding: Embedding) -> int:
    """How much memory the tensors of an embedding take."""
    return sum(tensor.nbytes for part in embedding.values() for tensor in (part if isinstance(part, list) else [part]))

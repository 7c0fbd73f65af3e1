"""OSEDiff: Stable Diffusion 2.1-base, taught to restore pictures in one step.

Wu et al. 2024, "One-Step Effective Diffusion Network for Real-World Image Super-Resolution" (arXiv:2406.08177).
"""

from collections.abc import Sequence
from typing import Any

import cv2
import diffusers
import numpy as np
import torch
import transformers

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelSource, digest_of_files
from tensorhop.services.runtime.checkpoint import to_memory, unusable
from tensorhop.services.runtime.device import choose_device, choose_dtype, memory_of
from tensorhop.services.upscale.adapters import add_adapters, read_adapters
from tensorhop.services.upscale.options import UpscaleOptions
from tensorhop.services.upscale.tiles import blend_tiles

TIMESTEP = 999  # the last of the noise schedule, at which OSEDiff is trained
TILE, OVERLAP = 768, 128  # pixels of the result
MULTIPLE = 64  # the networks halve a picture three times each
LEAST_SIDE = 512  # pixels that the networks see at least, as they were trained; OSEDiff's process_size
LONGEST = 4  # times LEAST_SIDE: a long and narrow picture is not made larger than that

diffusers.utils.logging.set_verbosity_error()


class OseDiff:
    """Pictures enlarged bicubically, and then restored by a diffusion network in one step.

    The VAE encodes the enlarged picture to a latent z; the UNet, told what the picture shows, predicts the noise e in
    it; x = (z - sqrt(1 - a) e) / sqrt(a), with a the cumulated alpha of step 999, is decoded. The latent is the mean of
    the VAE's distribution, where OSEDiff's own code draws from it: the same input gives the same result, so the seed
    is not used. Colours are aligned by adain unless the caller says otherwise, as by OSEDiff's own code.

    Raises:
        InvalidInput: a file is missing, broken or does not fit the others; the device or dtype is not available; or the
            device has too little memory.
    """

    align = "adain"
    largest_batch = 1  # a tile fills a device

    def __init__(
        self, source: ModelSource, tile: int = TILE, overlap: int = OVERLAP, least_side: int = LEAST_SIDE
    ) -> None:
        self.name, self.revision = source.name, source.revision
        self._tile, self._overlap, self._least = tile, overlap, least_side
        self._device = choose_device(source.choice.device)
        self._dtype = choose_dtype(source.choice.dtype, self._device)
        adapters = sorted(source.path.glob("*.pkl"))
        if len(adapters) != 1:
            raise InvalidInput("--model", f"{source.path} holds {len(adapters)} .pkl files; one has OSEDiff's adapters")
        content = read_adapters(adapters[0])
        scheduler = _read(source, diffusers.DDPMScheduler, "scheduler")
        if scheduler.config.prediction_type != "epsilon":
            kind = scheduler.config.prediction_type
            raise InvalidInput(
                "--model", f"{source.path} predicts {kind}, not epsilon; OSEDiff needs Stable Diffusion 2.1-base"
            )
        self._alpha = float(scheduler.alphas_cumprod[TIMESTEP])
        self._tokenizer = _read(source, transformers.CLIPTokenizer, "tokenizer")
        self._text_encoder = self._network(source, transformers.CLIPTextModel, "text_encoder")
        self._unet = self._network(source, diffusers.UNet2DConditionModel, "unet", content)
        self._vae = self._network(source, diffusers.AutoencoderKL, "vae", content)
        parts = ("text_encoder", "unet", "vae")
        weights = [file for part in parts for file in sorted((source.path / part).glob("*.safetensors"))]
        self.digest = digest_of_files([*adapters, *weights])

    def _network(self, source: ModelSource, kind: Any, part: str, adapters: Any = None) -> Any:
        network = _read(source, kind, part)
        if adapters:
            add_adapters(network, adapters, part)
        to_memory(network.to(self._dtype), self._device, source)
        return network

    def warm_up(self) -> None:
        side = self._least // 2
        self.predict([np.full((side, side, 3), 127, np.uint8)], UpscaleOptions())

    def predict(self, images: Sequence[np.ndarray], options: UpscaleOptions) -> list[np.ndarray]:
        """Each picture `options.scale` times as large.

        Args:
            images: uint8, height x width x 3, sRGB, of any sizes.

        Returns:
            Such arrays. Beside one, the work needs memory for a row of tiles, and for what the networks hold of a tile.

        Raises:
            MemoryError: the device has too little memory.
        """
        with memory_of(self._device), torch.inference_mode():
            said = self._encoded(options.prompt)
            return [self._enlarged(image, options.scale, said) for image in images]

    def _encoded(self, prompt: str) -> torch.Tensor:
        """What the UNet is told: 1 x tokens x channels. A longer prompt than the tokenizer takes is cut."""
        longest = self._tokenizer.model_max_length
        ids = self._tokenizer(prompt, max_length=longest, padding="max_length", truncation=True, return_tensors="pt")
        said: torch.Tensor = self._text_encoder(ids.input_ids.to(self._device))[0]
        return said

    def _enlarged(self, image: np.ndarray, scale: int, said: torch.Tensor) -> np.ndarray:
        height, width = image.shape[0] * scale, image.shape[1] * scale
        more = max(1.0, min(self._least / min(height, width), LONGEST * self._least / max(height, width)))
        size = round(width * more), round(height * more)
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        restored = blend_tiles(
            large.shape[0],
            large.shape[1],
            self._tile,
            self._overlap,
            lambda rows, columns: self._restored(large[rows, columns], said),
        )
        return cv2.resize(restored, (width, height), interpolation=cv2.INTER_AREA) if more > 1 else restored

    def _restored(self, tile: np.ndarray, said: torch.Tensor) -> np.ndarray:
        """A tile (uint8, height x width x 3) as the networks see it: float32, 0 to 255."""
        height, width = tile.shape[:2]
        padded = np.pad(tile, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), "edge")
        pixels = torch.from_numpy(padded).to(self._device, self._dtype).permute(2, 0, 1)[None] / 127.5 - 1
        factor = self._vae.config.scaling_factor
        latent = self._vae.encode(pixels).latent_dist.mode() * factor
        noise = self._unet(latent, TIMESTEP, encoder_hidden_states=said).sample
        clean = (latent - (1 - self._alpha) ** 0.5 * noise) / self._alpha**0.5
        decoded = self._vae.decode(clean / factor).sample[0].clamp(-1, 1)
        restored: np.ndarray = ((decoded.float() + 1) * 127.5).permute(1, 2, 0).cpu().numpy()
        return restored[:height, :width]


def _read(source: ModelSource, kind: Any, part: str) -> Any:
    """A part of the folder of Stable Diffusion, in float32 on the CPU. Raises InvalidInput: it cannot be loaded."""
    path = source.path / part
    network = issubclass(kind, torch.nn.Module)
    options = {"output_loading_info": True, "use_safetensors": True} if network else {}
    try:
        found = kind.from_pretrained(path, local_files_only=True, **options)
    except Exception as error:  # a folder can hold any files, so loading it can raise anything
        raise unusable(path, error) from error
    if not network:
        return found
    loaded, about = found
    if missing := sorted(about["missing_keys"]):
        raise InvalidInput("--model", f"{path} lacks {len(missing)} of the network's weights, such as {missing[0]}")
    return loaded.float()

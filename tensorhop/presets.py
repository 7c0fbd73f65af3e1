"""Known models by short names: data only. A fact that could not be cited is left empty.

Sizes are of the weights' files in bytes, licences are SPDX names, both as `reference` states them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Onnx:
    """What an .onnx file of a segmentation network wants, and what it answers."""

    size: tuple[int, int]  # height, width of its input; where the file states them, the file's are taken
    mean: tuple[float, float, float]  # of RGB values from 0 to 1
    std: tuple[float, float, float]
    logits: bool  # whether a sigmoid is still to come; otherwise the answer is a probability already
    per_image: bool = False  # whether pixels are divided by the photo's largest value instead of by 255


@dataclass(frozen=True)
class Preset:
    """A published model."""

    service: str
    backend: str  # which of the service's classes runs it
    repo: str = ""  # on the hub
    file: str = ""  # in the repository, for a backend that reads one file
    url: str = ""  # of that file, where it is in no repository
    onnx: Onnx | None = None
    size: int | None = None
    licence: str = ""
    reference: str = ""
    groundingdino: str = ""  # the configuration that belongs to a checkpoint of groundingdino-py


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
U2NET = Onnx((320, 320), IMAGENET_MEAN, IMAGENET_STD, logits=False, per_image=True)
ISNET = Onnx((1024, 1024), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), logits=False)
BIREFNET = Onnx((1024, 1024), IMAGENET_MEAN, IMAGENET_STD, logits=True)

PRESETS: dict[str, Preset] = {
    "blip-base": Preset("describe", "transformers", "Salesforce/blip-image-captioning-base"),
    "blip-large": Preset("describe", "transformers", "Salesforce/blip-image-captioning-large"),
    "blip2-opt-2.7b": Preset("describe", "transformers", "Salesforce/blip2-opt-2.7b"),
    "grounding-dino-tiny": Preset("detect", "transformers", "IDEA-Research/grounding-dino-tiny"),
    "grounding-dino-base": Preset("detect", "transformers", "IDEA-Research/grounding-dino-base"),
    "birefnet": Preset("segment", "onnx", "onnx-community/BiRefNet-ONNX", "onnx/model.onnx", onnx=BIREFNET),
    "birefnet-lite": Preset("segment", "onnx", "onnx-community/BiRefNet_lite-ONNX", "onnx/model.onnx", onnx=BIREFNET),
}

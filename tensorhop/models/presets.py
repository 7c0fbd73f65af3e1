"""Known models by short names: data only. A fact without a source is left empty.

Sizes are those of the weights' files in bytes, and licences are SPDX names. `reference` states both.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class OnnxFormat:
    """The formats of the input and the output of a segmentation network in an .onnx file."""

    size: tuple[int, int]  # height, width of the input in pixels; if the file states them, the file's are used
    mean: tuple[float, float, float]  # of RGB values from 0 to 1
    std: tuple[float, float, float]
    logits: bool  # whether the output needs a sigmoid; otherwise it is a probability already
    per_image: bool = False  # whether pixels are divided by the photo's largest value instead of by 255


@dataclass(frozen=True)
class ModelPreset:
    """A published model."""

    service: str
    backend: str  # which of the service's classes runs it
    repo: str = ""  # on the hub
    file: str = ""  # in the repository, for a backend that reads one file
    url: str = ""  # of the file, if it is not in a repository
    md5: str = ""  # of the file at `url`, as its publisher states it
    onnx: OnnxFormat | None = None
    size: int | None = None
    licence: str = ""
    reference: str = ""


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The normalization of each family is that of its authors' own inference code: U-2-Net/data_loader.py (ToTensorLab),
# DIS/IS-Net/Inference.py, BiRefNet/README.md. The first two networks end in a sigmoid, BiRefNet does not.
# Licences are those that the repositories of the networks give (ZhengPeng7/BiRefNet, xuebinqin/DIS, xuebinqin/U-2-Net).
U2NET = OnnxFormat((320, 320), IMAGENET_MEAN, IMAGENET_STD, logits=False, per_image=True)
ISNET = OnnxFormat((1024, 1024), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), logits=False)
BIREFNET = OnnxFormat((1024, 1024), IMAGENET_MEAN, IMAGENET_STD, logits=True)

_HUB = "https://huggingface.co/"
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
_SESSIONS = "https://github.com/danielgatis/rembg/blob/main/rembg/sessions/"

PRESETS: dict[str, ModelPreset] = {
    "blip-base": ModelPreset(
        "describe",
        "transformers",
        "Salesforce/blip-image-captioning-base",
        licence="BSD-3-Clause",
        reference=_HUB + "Salesforce/blip-image-captioning-base",
    ),
    "blip-large": ModelPreset(
        "describe",
        "transformers",
        "Salesforce/blip-image-captioning-large",
        licence="BSD-3-Clause",
        reference=_HUB + "Salesforce/blip-image-captioning-large",
    ),
    "blip2-opt-2.7b": ModelPreset("describe", "transformers", "Salesforce/blip2-opt-2.7b"),
    "grounding-dino-tiny": ModelPreset(
        "detect",
        "transformers",
        "IDEA-Research/grounding-dino-tiny",
        size=689_000_000,
        licence="Apache-2.0",
        reference=_HUB + "IDEA-Research/grounding-dino-tiny",
    ),
    "grounding-dino-base": ModelPreset("detect", "transformers", "IDEA-Research/grounding-dino-base"),
    "birefnet": ModelPreset(
        "segment",
        "onnx",
        "onnx-community/BiRefNet-ONNX",
        "onnx/model.onnx",
        onnx=BIREFNET,
        licence="MIT",
        reference=_HUB + "onnx-community/BiRefNet-ONNX",
    ),
    "birefnet-lite": ModelPreset(
        "segment",
        "onnx",
        "onnx-community/BiRefNet_lite-ONNX",
        "onnx/model.onnx",
        onnx=BIREFNET,
        licence="MIT",
        reference=_HUB + "onnx-community/BiRefNet_lite-ONNX",
    ),
    # The files that the project rembg publishes.
    "birefnet-general": ModelPreset(
        "segment",
        "onnx",
        url=_RELEASE + "BiRefNet-general-epoch_244.onnx",
        md5="7a35a0141cbbc80de11d9c9a28f52697",
        onnx=BIREFNET,
        licence="MIT",
        reference=_SESSIONS + "birefnet_general.py",
    ),
    "birefnet-general-lite": ModelPreset(
        "segment",
        "onnx",
        url=_RELEASE + "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
        md5="4fab47adc4ff364be1713e97b7e66334",
        onnx=BIREFNET,
        licence="MIT",
        reference=_SESSIONS + "birefnet_general_lite.py",
    ),
    "isnet-general-use": ModelPreset(
        "segment",
        "onnx",
        url=_RELEASE + "isnet-general-use.onnx",
        md5="fc16ebd8b0c10d971d3513d564d01e29",
        onnx=ISNET,
        licence="Apache-2.0",
        reference=_SESSIONS + "dis_general_use.py",
    ),
    "silueta": ModelPreset(
        "segment",
        "onnx",
        url=_RELEASE + "silueta.onnx",
        md5="55e59e0d8062d2f5d013f4725ee84782",
        onnx=U2NET,
        reference=_SESSIONS + "silueta.py",
    ),
    "u2net": ModelPreset(
        "segment",
        "onnx",
        url=_RELEASE + "u2net.onnx",
        md5="60024c5c889badc19c04ad937298a77b",
        onnx=U2NET,
        licence="Apache-2.0",
        reference=_SESSIONS + "u2net.py",
    ),
    "u2netp": ModelPreset(
        "segment",
        "onnx",
        url=_RELEASE + "u2netp.onnx",
        md5="8e83ca70e441ab06c318d82300c84806",
        onnx=U2NET,
        size=4_574_861,
        licence="Apache-2.0",
        reference=_SESSIONS + "u2netp.py",
    ),
}

"""What is known of a published model. A fact without a source is left empty."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class OnnxFormat:
    """The formats of the input and the output of a segmentation or matting network, mostly in an .onnx file."""

    size: tuple[int, int]  # height, width of the input in pixels; if the file states them, the file's are used
    mean: tuple[float, float, float]  # of RGB values from 0 to 1
    std: tuple[float, float, float]
    logits: bool  # whether the output needs a sigmoid; otherwise it is a probability already
    per_image: bool = False  # whether pixels are divided by the photo's largest value instead of by 255
    # The least and the largest side, for a network that takes pictures at their own size in between; `size` does not
    # count then.
    sides: tuple[int, int] | None = None


@dataclass(frozen=True)
class ModelPreset:
    """A published model."""

    service: str
    backend: str  # which of the service's classes runs it
    repo: str = ""  # on the hub
    file: str = ""  # in the repository, for a backend that reads one file
    own_code: bool = False  # whether it is run by the Python code in the repository
    url: str = ""  # of the file, if it is not in a repository
    checksum: str = ""  # of the file at `url`, as its publisher states it: "md5:..." or "sha256:..."
    onnx: OnnxFormat | None = None  # of a segmentation or matting network
    question: str = ""  # what a network that describes photos is asked, if the caller asks nothing
    size: int | None = None  # of the weights' files in bytes
    licence: str = ""  # an SPDX name, or "LicenseRef-" and a name
    noncommercial: bool = False  # whether the licence forbids commercial use, or allows it for a fee only
    reference: str = ""  # states licence and size


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The normalization of each family is that of its authors' own inference code: U-2-Net/data_loader.py (ToTensorLab),
# DIS/IS-Net/Inference.py, BiRefNet/README.md. The first two networks end in a sigmoid, BiRefNet does not.
U2NET = OnnxFormat((320, 320), IMAGENET_MEAN, IMAGENET_STD, logits=False, per_image=True)
ISNET = OnnxFormat((1024, 1024), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), logits=False)
BIREFNET = OnnxFormat((1024, 1024), IMAGENET_MEAN, IMAGENET_STD, logits=True)
# The sizes at which its authors trained others, by the News in BiRefNet/README.md: BiRefNet_HR and HR-matting, lite-2K
# ("2560x1440": its own README has a height of 1440), dynamic ("from 256x256 to 2304x2304").
BIREFNET_HR = replace(BIREFNET, size=(2048, 2048))
BIREFNET_2K = replace(BIREFNET, size=(1440, 2560))
BIREFNET_DYNAMIC = replace(BIREFNET, sides=(256, 2304))

HUB = "https://huggingface.co/"
REMBG_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
REMBG_CODE = "https://github.com/danielgatis/rembg/blob/main/rembg/"

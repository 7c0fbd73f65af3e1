"""Salient object detection by U2-Net-p: how much each pixel of a photo stands out."""

import numpy as np

from tensorhop.models.presets import U2NET
from tensorhop.services.embedded import weights
from tensorhop.services.embedded.network import Network
from tensorhop.services.embedded.pixels import resized
from tensorhop.values.geometry import Size, size_of

SIZE = Size(*reversed(U2NET.size))  # the network's input and output
SALIENT = 0.5  # from this saliency on, a pixel counts as part of a salient object

_MEAN, _DEVIATION = (np.array(each, np.float32) for each in (U2NET.mean, U2NET.std))

_SAMPLE = 512  # pixels: the side of the square from a photo's middle that is checked for noise
_RELATED = 0.3  # below this correlation of neighbouring pixels, a picture is noise; photos have more than 0.7


class Saliency:
    """U2-Net-p, the small U2-Net of Qin et al. (2020, arXiv:2005.09007), on ONNX Runtime.

    The network looks at 320 x 320 pixels whatever the photo's size and shape.
    """

    def __init__(self) -> None:
        self._network = Network(weights.U2NETP)  # its first output is the fusion of all side outputs, after a sigmoid

    def predict(self, image: np.ndarray) -> np.ndarray:
        """The saliency of each pixel.

        Args:
            image: height x width x 3, uint8, sRGB.

        Returns:
            height x width, float32, 0 to 1: the network's own values, not stretched to the full range.
        """
        return resized(self.predict_small(image), size_of(image))

    def predict_small(self, image: np.ndarray) -> np.ndarray:
        """The saliency at the network's own size.

        Args:
            image: height x width x 3, uint8, sRGB.

        Returns:
            320 x 320, float32, 0 to 1, covering the whole image; 0 everywhere if the image is noise.
        """
        if _is_noise(image):  # the network was not trained on noise and may mark all of it as salient
            return np.zeros((SIZE.height, SIZE.width), np.float32)
        pixels = resized(image, SIZE).astype(np.float32)
        pixels /= max(float(pixels.max()), 1.0)
        tensor = ((pixels - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
        return np.clip(self._network.run(tensor)[0, 0], 0.0, 1.0)


def _is_noise(image: np.ndarray) -> bool:
    """Whether neighbouring pixels are uncorrelated. A plain picture is not noise."""
    y, x = max(0, image.shape[0] - _SAMPLE) // 2, max(0, image.shape[1] - _SAMPLE) // 2
    grey = image[y : y + _SAMPLE, x : x + _SAMPLE].mean(axis=2, dtype=np.float32)
    grey -= grey.mean()
    variance = float((grey * grey).mean())
    if variance < 1 or min(grey.shape) < 8:
        return False
    across = float((grey[:, 1:] * grey[:, :-1]).mean())
    down = float((grey[1:] * grey[:-1]).mean())
    return max(across, down) < _RELATED * variance

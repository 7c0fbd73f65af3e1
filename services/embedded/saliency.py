"""Salient object detection by U2-Net-p: how much each pixel of a photo stands out."""

from typing import Protocol

import cv2
import numpy as np

from tensorhop.models.presets import U2NET
from tensorhop.services.embedded import weights
from tensorhop.services.embedded.network import Network
from tensorhop.services.embedded.pixels import resized
from tensorhop.values.geometry import Size, size_of

SIZE = Size(*reversed(U2NET.size))  # the network's input and output
SALIENT = 0.5  # from this saliency on, a pixel counts as part of a salient object

_MEAN, _DEVIATION = (np.array(each, np.float32) for each in (U2NET.mean, U2NET.std))

# If less than this fraction of a photo is salient, it is looked at again with a border: the network was trained on
# objects with something around them, and may see no more than the eye of a cat that fills the frame.
_LITTLE = 0.06
_CLEAR = 0.9  # the mean saliency of what is salient, from which on a small object counts as clear
_BORDER = 0.1  # of the photo's width and height, at each side: its outermost pixels, repeated

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


class Looks(Protocol):
    """A network that answers as `Saliency.predict_small` does."""

    def predict_small(self, image: np.ndarray) -> np.ndarray: ...


def look_at(network: Looks, image: np.ndarray) -> np.ndarray:
    """The saliency of a whole picture at the network's own size; a second look with a border where little is salient.

    Args:
        image: height x width x 3, uint8, sRGB.

    Returns:
        320 x 320, float32, 0 to 1, covering the whole image: the larger of both looks.
    """
    look = network.predict_small(image)
    return look_again(network, image, look) if shows_little(look) else look


def shows_little(look: np.ndarray) -> bool:
    """Whether so little of a picture is salient (320 x 320, float32), and so faintly, that another look may show more.

    A small object on a plain ground is clear; an eye that is taken for the object is not.
    """
    salient = look[look >= SALIENT]
    return salient.size < _LITTLE * look.size and (not salient.size or float(salient.mean()) < _CLEAR)


def look_again(network: Looks, image: np.ndarray, look: np.ndarray) -> np.ndarray:
    """The larger of a look at a picture and of one with a border around the picture. Shapes as for `look_at`."""
    if _is_noise(image):  # which smaller pixels would hide
        return look
    x, y = (round(side * _BORDER / (1 + 2 * _BORDER)) for side in SIZE)
    inner = resized(image, Size(SIZE.width - 2 * x, SIZE.height - 2 * y))
    again = network.predict_small(cv2.copyMakeBorder(inner, y, y, x, x, cv2.BORDER_REPLICATE))
    return np.maximum(look, resized(again[y : SIZE.height - y, x : SIZE.width - x], SIZE))


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

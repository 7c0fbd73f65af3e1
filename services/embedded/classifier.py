"""Classification of pictures and of places in them: EfficientNet-Lite0 over the 1000 classes of ImageNet."""

from collections.abc import Sequence

import numpy as np

from tensorhop.services.embedded import weights
from tensorhop.services.embedded.network import Network
from tensorhop.services.embedded.pixels import on_square, resized
from tensorhop.values.geometry import Box, Region, Size, size_of

CLASSES = 1000
SIZE = Size(224, 224)  # the pictures that the network was trained on
STRIDE = 32  # pixels between two positions of the activation map

# The network was trained with label smoothing, so its probabilities are lower than its accuracy. Logits are divided by
# this (temperature scaling, Guo et al. 2017, arXiv:1706.04599).
TEMPERATURE = 0.75

_BATCH = 8  # pictures a run: more are no faster on a CPU and cost memory
_PADDING = 0.05  # fraction of a box's sides that is added around it in the second view of an object
_LONGEST = 1792  # pixels: the largest longer side of the network's input for a map of evidence
_WINDOW = 3  # positions: side of the window over which a map of evidence is averaged


class Classifier:
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; the Lite variant by Liu, 2020) on ONNX Runtime."""

    def __init__(self) -> None:
        self._network = Network(weights.EFFICIENTNET_LITE0)

    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """The probability that each picture as a whole shows each class.

        Args:
            images: height x width x 3 each, uint8, sRGB. Sizes may differ. Shapes near a square suit the network best.

        Returns:
            number of images x 1000, float32; every row sums to 1.
        """
        logits = np.zeros((len(images), CLASSES), np.float32)
        for start in range(0, len(images), _BATCH):
            pictures = np.stack([resized(image, SIZE) for image in images[start : start + _BATCH]])
            logits[start : start + _BATCH] = self._run(pictures).mean(axis=(2, 3))
        return softmax(logits / TEMPERATURE)

    def objects(self, photo: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """The probability that each box shows each class.

        It is the mean over two views: the box stretched to a square, and the box in its own shape on a plain square, so
        that the network sees no neighbour.

        Args:
            photo: height x width x 3, uint8, sRGB.
            boxes: in pixels of the photo; they overlap it.

        Returns:
            number of boxes x 1000, float32; every row sums to 1.
        """
        whole = Region.of(size_of(photo))
        tight = [photo[box.region().intersect(whole).slices] for box in boxes]
        padded = [photo[box.padded(_PADDING).region().intersect(whole).slices] for box in boxes]
        found = self.probabilities([*tight, *(on_square(piece, SIZE.width) for piece in padded)])
        return (found[: len(boxes)] + found[len(boxes) :]) / 2

    def evidence(self, photo: np.ndarray, side: int) -> np.ndarray:
        """The probability that each place of a photo shows each class.

        This is the class activation map of Zhou et al. (2016, arXiv:1512.04150), averaged over windows before the
        softmax, so that each place is classified as a small picture of its own.

        Args:
            photo: height x width x 3, uint8, sRGB.
            side: pixels: the network sees the photo resized to the area of a square with this side. The larger it is,
                the smaller the objects that the map shows.

        Returns:
            1000 x rows x columns, float32; every place sums to 1 over the classes.
        """
        size = size_of(photo)
        scale = min(side / (size.width * size.height) ** 0.5, _LONGEST / max(size))
        width, height = (max(2, round(side * scale / STRIDE)) * STRIDE for side in size)
        activation = self._run(resized(photo, Size(width, height))[None])[0]
        return softmax(_windowed(activation) / TEMPERATURE, axis=0)

    def _run(self, images: np.ndarray) -> np.ndarray:
        tensor = (images.astype(np.float32) - 127) / 128
        return self._network.run(tensor.transpose(0, 3, 1, 2))


def softmax(logits: np.ndarray, axis: int = 1) -> np.ndarray:
    """Probabilities from logits: float32 of any shape in and out; they sum to 1 along an axis."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def _windowed(activation: np.ndarray) -> np.ndarray:
    """Each position's mean over the window around it. At the border, the outermost positions are repeated."""
    _, rows, columns = activation.shape
    reach = _WINDOW // 2
    padded = np.pad(activation, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    total = np.zeros_like(activation)
    for y in range(_WINDOW):
        for x in range(_WINDOW):
            total += padded[:, y : y + rows, x : x + columns]
    return total / _WINDOW**2

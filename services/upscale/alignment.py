"""The colours of an enlarged picture, brought to those of the picture that it was made of.

Generative networks shift colours; these corrections follow Wang et al. 2023, "Exploiting Diffusion Prior for Real-World
Image Super-Resolution" (arXiv:2305.07015). Both take and give uint8, height x width x 3, sRGB; the result is `scale`
times as high and wide as the input. The work needs little memory beside the pictures: 100 megapixels are common.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

LEVELS = 5  # of the wavelet: what is coarser than about 2**LEVELS pixels of the input counts as colour
BAND = 256  # rows of the input that are corrected at once


def adain(result: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The result with the mean and the standard deviation of the input in each channel.

    Adaptive instance normalization: Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive
    Instance Normalization" (arXiv:1703.06868).
    """
    have, want = cv2.meanStdDev(result), cv2.meanStdDev(source)
    (have_mean, have_deviation), (want_mean, want_deviation) = (np.array(one)[..., 0] for one in (have, want))
    gain = np.where(have_deviation > 0, want_deviation / np.maximum(have_deviation, 1e-6), 1)
    levels = np.arange(256)[:, None]  # one table a channel: the result has only 256 values
    table = np.clip(np.rint((levels - have_mean) * gain + want_mean), 0, 255).astype(np.uint8)
    return cv2.LUT(result, table[None])


def wavelet(result: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The result with the low frequencies of the input.

    They are what LEVELS steps of the à trous wavelet leave (Holschneider et al. 1989, "A real-time algorithm for signal
    analysis with the help of the wavelet transform"), taken at the size of the input.
    """
    height, width = source.shape[:2]
    scale = result.shape[0] // height
    reduced = cv2.resize(result, (width, height), interpolation=cv2.INTER_AREA)
    aligned = np.empty_like(result)
    for channel in range(3):
        shift: np.ndarray = source[..., channel].astype(np.float32) - reduced[..., channel]
        for level in range(LEVELS):
            kernel = np.zeros(2 ** (level + 1) + 1, np.float32)
            kernel[0], kernel[2**level], kernel[-1] = 0.25, 0.5, 0.25
            shift = cv2.sepFilter2D(shift, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        shift = cv2.copyMakeBorder(shift, 1, 1, 0, 0, cv2.BORDER_REPLICATE)  # a row of neighbours for each band
        for top in range(0, height, BAND):
            rows = shift[top : min(top + BAND, height) + 2]
            enlarged = cv2.resize(rows, (width * scale, len(rows) * scale), interpolation=cv2.INTER_LINEAR)
            band = slice(top * scale, (top + len(rows) - 2) * scale)
            moved = result[band, :, channel] + enlarged[scale:-scale]
            aligned[band, :, channel] = np.clip(np.rint(moved, out=moved), 0, 255, out=moved)
    return aligned


def unaligned(result: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The result as it is."""
    return result


ALIGNMENTS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "none": unaligned,
    "adain": adain,
    "wavelet": wavelet,
}

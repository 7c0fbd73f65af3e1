"""Masks of boxes from a network that separates what stands out in a picture: BiRefNet, IS-Net, U2-Net."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from tensorhop.models.presets import OnnxFormat
from tensorhop.services.embedded.pixels import crop
from tensorhop.services.segment.instances import attached, nearer, split_instances, to_canvas, trimmed_mask, within
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Mask

# From n x 3 x height x width, float32, normalized, to n x height x width, float32, 0 to 1.
Network = Callable[[np.ndarray], np.ndarray]

_PADDING = 0.2  # of the box, around what the network looks at
_MOST = 0.85  # of a thing in the box: it is the object. Of a band right across, 1.1 / 1.4 of what is looked at is in it
_HAZE = 0.1  # where nothing in the box reaches this, nothing stands out


def segment(
    network: Network, input_format: OnnxFormat, images: Sequence[np.ndarray], boxes: Sequence[Box], most: int = 1
) -> list[Mask]:
    """The mask of the object in one box of each photo.

    The network looks at the padded box, at its own size. Its probabilities become alpha as they are, except for pixels
    of other things: those that go with a thing mainly outside the box, and those outside the box that are not connected
    with a thing inside. A box of the whole photo keeps all that the network sees.

    Args:
        input_format: what the network wants.
        images: height x width x 3 each, uint8, sRGB.
        boxes: one for each image, in its pixels; it overlaps the image.
        most: how many the network looks at in one run.

    Returns:
        Masks whose alpha is uint8 0 to 255, trimmed to what is above 0; 0 x 0 where nothing stands out in the box.
    """
    looks = [
        box.padded(_PADDING).region().intersect(Region.of(size_of(image)))
        for image, box in zip(images, boxes, strict=True)
    ]
    masks = []
    for start in range(0, len(looks), most):
        some = slice(start, start + most)
        tensors = [
            normalized(crop(image, look), input_format) for image, look in zip(images[some], looks[some], strict=True)
        ]
        answers = network(np.stack(tensors))
        masks += [mask_of(*each) for each in zip(answers, looks[some], boxes[some], strict=True)]
    return masks


def normalized(picture: np.ndarray, input_format: OnnxFormat) -> np.ndarray:
    """A picture (height x width x 3, uint8) as the network wants it: 3 x height x width, float32.

    Lanczos is what rembg takes; U2-Net's answers differ by several levels of 255 after another way of resizing.
    """
    height, width = input_format.size
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), np.float32)
    small = small / (max(float(small.max()), 1.0) if input_format.per_image else 255.0)
    tensor = (small - np.array(input_format.mean, np.float32)) / np.array(input_format.std, np.float32)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1))


def mask_of(probability: np.ndarray, look: Region, box: Box) -> Mask:
    """What belongs to the box of what the network saw (height x width, float32, 0 to 1) in a look at the photo."""
    here = to_canvas(box, look, size_of(probability))
    core, others = split_instances(probability, here, _MOST)
    near = nearer(core, others)
    kept = near & within(here, size_of(probability)) | attached(near & (probability >= 1 / 255), core)
    alpha = np.rint(np.where(kept, probability, 0) * 255).astype(np.uint8)
    if alpha.max() < _HAZE * 255:
        return trimmed_mask(np.zeros((0, 0), np.uint8), look)
    return trimmed_mask(enlarged(alpha, look.size), look)


def enlarged(alpha: np.ndarray, size: Size) -> np.ndarray:
    """A mask at another size. Unlike Lanczos, bicubic interpolation leaves no rings around a sharp edge."""
    return np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BICUBIC))

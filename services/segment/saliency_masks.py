"""Masks of boxes from a salient object detection network: BiRefNet, IS-Net, U2-Net."""

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

_PADDING = 0.2  # fraction of the box's sides that is added around it in the network's view
# A core with at least this fraction inside the box is the object's. A band right across the view has 1.1 / 1.4 = 0.79.
_MOST = 0.85
_FAINT = 0.1  # if no probability in the box reaches this, nothing stands out


def segment(
    network: Network, input_format: OnnxFormat, images: Sequence[np.ndarray], boxes: Sequence[Box], most: int = 1
) -> list[Mask]:
    """The mask of the object in one box of each photo.

    The network sees the padded box, resized to the size of its input. Its probabilities become alpha unchanged, except
    for pixels of other objects: pixels that are nearest to an object mainly outside the box, and pixels outside the box
    that are not connected to an object inside. A box of the whole photo keeps everything that the network finds.

    Args:
        input_format: of the network.
        images: height x width x 3 each, uint8, sRGB.
        boxes: one for each image, in its pixels; it overlaps the image.
        most: how many views the network takes in one run.

    Returns:
        Masks with uint8 alpha, 0 to 255, trimmed to the pixels above 0; 0 x 0 if nothing stands out in the box.
    """
    views = [
        box.padded(_PADDING).region().intersect(Region.of(size_of(image)))
        for image, box in zip(images, boxes, strict=True)
    ]
    masks = []
    for start in range(0, len(views), most):
        some = slice(start, start + most)
        tensors = [
            normalized(crop(image, view), input_format) for image, view in zip(images[some], views[some], strict=True)
        ]
        answers = network(np.stack(tensors))
        masks += [mask_of(*each) for each in zip(answers, views[some], boxes[some], strict=True)]
    return masks


def normalized(picture: np.ndarray, input_format: OnnxFormat) -> np.ndarray:
    """A picture (height x width x 3, uint8) as the network's input: 3 x height x width, float32.

    It is resized by Lanczos, as rembg does. With another filter, U2-Net's answers differ by several levels of 255.
    """
    height, width = input_format.size
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), np.float32)
    small = small / (max(float(small.max()), 1.0) if input_format.per_image else 255.0)
    tensor = (small - np.array(input_format.mean, np.float32)) / np.array(input_format.std, np.float32)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1))


def mask_of(probability: np.ndarray, view: Region, box: Box) -> Mask:
    """The mask of the object in a box, from the network's answer for a view of the photo.

    Args:
        probability: height x width of the network's output, float32, 0 to 1.
        view: the pixels of the photo that the network saw.
        box: in pixels of the photo.
    """
    here = to_canvas(box, view, size_of(probability))
    core, others = split_instances(probability, here, _MOST)
    near = nearer(core, others)
    kept = near & within(here, size_of(probability)) | attached(near & (probability >= 1 / 255), core)
    alpha = np.rint(np.where(kept, probability, 0) * 255).astype(np.uint8)
    if alpha.max() < _FAINT * 255:
        return trimmed_mask(np.zeros((0, 0), np.uint8), view)
    return trimmed_mask(enlarged(alpha, view.size), view)


def enlarged(alpha: np.ndarray, size: Size) -> np.ndarray:
    """A mask (height x width, uint8) at another size, by bicubic interpolation.

    Lanczos would leave rings around a sharp edge.
    """
    return np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BICUBIC))

"""Masks of boxes from a salient object detection network: BiRefNet, IS-Net, U2-Net."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from tensorhop.models.presets import OnnxFormat
from tensorhop.services.embedded.pixels import crop, resized
from tensorhop.services.segment.input_format import input_size
from tensorhop.services.segment.instances import (
    SEEN_AGAIN,
    attached,
    nearer,
    split_grown,
    split_instances,
    to_canvas,
    trimmed_mask,
    wider,
    within,
)
from tensorhop.values.geometry import Box, Region, Size, size_of
from tensorhop.values.results import Mask

# From n x 3 x height x width, float32, normalized, to n x height x width, float32, 0 to 1.
Network = Callable[[np.ndarray], np.ndarray]

_PADDING = 0.2  # fraction of the box's sides that is added around it in the network's view
# A core with at least this fraction inside the box is the object's. A band right across the view has 1.1 / 1.4 = 0.79.
_MOST = 0.85
_FAINT = 0.1  # if no probability in the box reaches this, nothing stands out


def segment(
    network: Network,
    input_format: OnnxFormat,
    images: Sequence[np.ndarray],
    boxes: Sequence[Box],
    most: int = 1,
    neighbours: Sequence[Sequence[Box]] | None = None,
) -> list[Mask]:
    """The mask of the object in one box of each photo.

    The network sees the padded box, resized to the size of its input. Its probabilities become alpha unchanged, except
    for pixels of other objects: pixels that are nearest to an object mainly outside the box, and pixels outside the box
    that are not connected to an object inside. A box of the whole photo keeps everything that the network finds.

    If neighbours are given, a box may show a part of its object. A view that cuts the object is then taken again, once,
    with more of the photo in it.

    Args:
        input_format: of the network.
        images: height x width x 3 each, uint8, sRGB.
        boxes: one for each image, in its pixels; it overlaps the image.
        most: how many views the network takes in one run; 1 if it takes them at their own sizes.
        neighbours: for each box, those of other objects in its photo; `split_grown` says what for.

    Returns:
        Masks with uint8 alpha, 0 to 255, trimmed to the pixels above 0; 0 x 0 if nothing stands out in the box.
    """

    def looks(indices: Sequence[int], views: Sequence[Region]) -> Iterator[tuple[int, np.ndarray, Region]]:
        for start in range(0, len(indices), most):
            some = list(zip(indices, views, strict=True))[start : start + most]
            tensors = [normalized(crop(images[index], view), input_format) for index, view in some]
            answers = network(np.stack(tensors))
            yield from ((index, answer, view) for answer, (index, view) in zip(answers, some, strict=True))

    views = [
        box.padded(_PADDING).region().intersect(Region.of(size_of(image)))
        for image, box in zip(images, boxes, strict=True)
    ]
    first = looks(range(len(views)), views)
    if neighbours is None:
        return [mask_of(answer, view, boxes[index]) for index, answer, view in first]
    masks, cut = [], {}
    for index, answer, view in first:
        cores = split_in_view(answer, view, images[index], boxes[index], neighbours[index])
        masks.append(mask_of(answer, view, boxes[index], cores))
        if more := wider(cores[0], view, size_of(images[index])):
            cut[index] = more
    for index, answer, view in looks(list(cut), list(cut.values())):
        cores = split_in_view(answer, view, images[index], boxes[index], neighbours[index])
        again = mask_of(answer, view, boxes[index], cores)
        if again.alpha.sum() >= SEEN_AGAIN * masks[index].alpha.sum():
            masks[index] = again
    return masks


def split_in_view(
    probability: np.ndarray, view: Region, image: np.ndarray, box: Box, neighbours: Sequence[Box]
) -> tuple[np.ndarray, np.ndarray]:
    """`split_grown` for a view of a photo; boxes in pixels of the photo."""
    size = size_of(probability)
    picture = resized(crop(image, view), size) if neighbours else np.empty((0, 0, 3), np.uint8)
    others = [to_canvas(other, view, size) for other in neighbours]
    return split_grown(probability, to_canvas(box, view, size), others, picture, _MOST)


def normalized(picture: np.ndarray, input_format: OnnxFormat) -> np.ndarray:
    """A picture (height x width x 3, uint8) as the network's input: 3 x height x width, float32.

    It is resized by Lanczos, as rembg does. With another filter, U2-Net's answers differ by several levels of 255.
    """
    size = input_size(input_format, size_of(picture))
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), np.float32)
    small = small / (max(float(small.max()), 1.0) if input_format.per_image else 255.0)
    tensor = (small - np.array(input_format.mean, np.float32)) / np.array(input_format.std, np.float32)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1))


def mask_of(
    probability: np.ndarray, view: Region, box: Box, cores: tuple[np.ndarray, np.ndarray] | None = None
) -> Mask:
    """The mask of the object in a box, from the network's answer for a view of the photo.

    Args:
        probability: height x width of the network's output, float32, 0 to 1.
        view: the pixels of the photo that the network saw.
        box: in pixels of the photo.
        cores: of the object and of everything else, as `split_instances` gives them; found here if not given.
    """
    here = to_canvas(box, view, size_of(probability))
    core, others = cores or split_instances(probability, here, _MOST)
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

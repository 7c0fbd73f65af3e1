"""Several objects as one: a pair of shoes, a cup on its saucer."""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from tensorhop.v1 import detect_pb2
from tensorhop.values.geometry import Box, Region
from tensorhop.values.results import Mask
from tensorhop.wire.messages import corners, write_box


def merged_mask(masks: Sequence[Mask]) -> Mask:
    """The union of at least one mask: alpha 1 - (1 - a)(1 - b)..., so that what is fully in one is so in the union.

    It covers the region that holds all; uint8 if all are, else float32.
    """
    masks = [mask for mask in masks if not mask.region.empty] or list(masks[:1])
    if len(masks) == 1:
        return masks[0]
    region = reduce(Region.union, (mask.region for mask in masks))
    left = np.ones((region.size.height, region.size.width), np.float32)
    for mask in masks:
        scale = 255 if mask.alpha.dtype == np.uint8 else 1
        left[mask.region.moved(-region.x0, -region.y0).slices] *= 1 - mask.alpha.astype(np.float32) / scale
    alpha = 1 - left
    if all(mask.alpha.dtype == np.uint8 for mask in masks):
        alpha = np.rint(255 * alpha).astype(np.uint8)
    return Mask(alpha, region)


def merged_detection(detections: Sequence[detect_pb2.Detection]) -> detect_pb2.Detection:
    """What stands for at least one detection: index 0, each label once, the least score, the box that holds all."""
    boxes = [corners(detection.box) for detection in detections]
    phrases = {detection.phrase_index for detection in detections}
    return detect_pb2.Detection(
        index=0,
        label=", ".join(dict.fromkeys(detection.label for detection in detections)),
        phrase_index=phrases.pop() if len(phrases) == 1 else -1,
        score=min(detection.score for detection in detections),
        box=write_box(
            Box(
                min(box.x0 for box in boxes),
                min(box.y0 for box in boxes),
                max(box.x1 for box in boxes),
                max(box.y1 for box in boxes),
            )
        ),
        unknown_phrase=all(detection.unknown_phrase for detection in detections),
    )

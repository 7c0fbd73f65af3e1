"""Of boxes that overlap, the best stay."""

import numpy as np
import pytest

from tensorhop.services.detect.suppression import without_overlaps
from tensorhop.values.geometry import Box


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_what_stays_is_apart_and_what_goes_is_near_something_better(threshold: float) -> None:
    rng = np.random.default_rng(5)
    low = rng.uniform(0, 80, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (60, 2))], axis=1).astype(np.float32)
    kept = without_overlaps(boxes, threshold).tolist()
    assert kept == sorted(kept)
    for index, row in enumerate(boxes):
        better = [Box(*map(float, boxes[other])) for other in kept if other < index]
        near = any(Box(*map(float, row)).iou(box) > threshold for box in better)
        assert near == (index not in kept)


def test_the_same_box_twice_and_none_at_all() -> None:
    box = np.float32([[1, 2, 30, 40]])
    assert without_overlaps(np.concatenate([box, box]), 0.99).tolist() == [0]
    assert without_overlaps(np.concatenate([box, box]), 1.0).tolist() == [0, 1]
    assert without_overlaps(np.zeros((0, 4), np.float32), 0.5).tolist() == []

"""The union of masks and of detections."""

import numpy as np
import pytest

from tensorhop.orchestrator.cutouts.merging import merged_detection, merged_mask
from tensorhop.v1 import detect_pb2
from tensorhop.values.geometry import Region
from tensorhop.values.results import Mask


def soft(seed: int, region: Region, dtype: type = np.float32) -> Mask:
    alpha = np.random.default_rng(seed).random((region.size.height, region.size.width), np.float32)
    alpha[0], alpha[-1] = 0, 1
    return Mask(alpha if dtype is np.float32 else np.rint(alpha * 255).astype(np.uint8), region)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_the_union_follows_the_formula(dtype: type) -> None:
    masks = [
        soft(0, Region(2, 3, 12, 9), dtype),
        soft(1, Region(8, 1, 20, 7), dtype),
        soft(2, Region(0, 0, 9, 9), dtype),
    ]
    union = merged_mask(masks)
    assert union.region == Region(0, 0, 20, 9)
    assert union.alpha.dtype == dtype
    left = np.ones((9, 20))
    for mask in masks:
        left[mask.region.slices] *= 1 - mask.alpha / (255 if dtype is np.uint8 else 1)
    unit = 255 if dtype is np.uint8 else 1
    np.testing.assert_allclose(union.alpha / unit, 1 - left, atol=0.51 / 255 if dtype is np.uint8 else 1e-6)
    for mask in masks:
        assert (union.alpha[mask.region.slices][mask.alpha == unit] == unit).all()


def test_one_mask_stays_as_it_is() -> None:
    mask = soft(0, Region(2, 3, 12, 9), np.uint8)
    assert merged_mask([mask]) is mask


def test_kinds_can_be_mixed() -> None:
    union = merged_mask([soft(0, Region(0, 0, 4, 4), np.uint8), soft(1, Region(2, 2, 6, 6))])
    assert union.alpha.dtype == np.float32
    assert (union.alpha.min(), union.alpha.max()) == (0, 1)


def detection(index: int, label: str, phrase: int, score: float, *box: float) -> detect_pb2.Detection:
    x0, y0, x1, y1 = box
    return detect_pb2.Detection(
        index=index, label=label, phrase_index=phrase, score=score, box={"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    )


def test_the_detection_stands_for_all() -> None:
    shoes = [detection(1, "shoe", 0, 0.5, 10, 20, 30, 40), detection(2, "shoe", 0, 0.75, 5, 25, 20, 45)]
    assert merged_detection(shoes) == detection(0, "shoe", 0, 0.5, 5, 20, 30, 45)
    mixed = merged_detection([*shoes, detection(3, "bag", 1, 1, 0, 0, 1, 1)])
    assert (mixed.label, mixed.phrase_index, mixed.score) == ("shoe, bag", -1, 0.5)

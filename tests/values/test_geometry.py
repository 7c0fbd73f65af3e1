"""Rectangles: sizes, overlaps and rounding, half-open throughout."""

import numpy as np
import pytest

from tensorhop.values.geometry import Box, Region, Size, size_of

PHOTO = Size(100, 50)


def test_region_size_and_slices_agree_with_numpy():
    region = Region(2, 3, 7, 5)
    assert region.size == Size(width=5, height=2)
    assert size_of(np.zeros((10, 20, 3))[region.slices]) == region.size
    assert Region.of(PHOTO) == (0, 0, 100, 50)


@pytest.mark.parametrize(
    ("region", "empty"),
    [(Region(0, 0, 1, 1), False), (Region(3, 0, 3, 9), True), (Region(0, 4, 9, 4), True), (Region(5, 0, 4, 9), True)],
)
def test_region_empty(region, empty):
    assert region.empty is empty


def test_regions_intersect_and_unite():
    a, b = Region(0, 0, 10, 10), Region(4, -5, 20, 6)
    assert a.intersect(b) == b.intersect(a) == (4, 0, 10, 6)
    assert a.union(b) == b.union(a) == (0, -5, 20, 10)
    assert a.moved(3, -2) == (3, -2, 13, 8)


@pytest.mark.parametrize("other", [Region(10, 0, 20, 10), Region(0, 12, 10, 20), Region(-9, -9, -1, -1)])
def test_regions_that_do_not_overlap_have_an_empty_intersection(other):
    overlap = Region(0, 0, 10, 10).intersect(other)
    assert overlap.empty
    assert overlap.size.width >= 0
    assert overlap.size.height >= 0


def test_box_measures():
    box = Box(1.5, 2.0, 4.0, 6.0)
    assert (box.width, box.height, box.area) == (2.5, 4.0, 10.0)
    assert Box(4, 4, 2, 2).area == 0, "two negative sides make no area"


def test_box_padded_by_a_fraction_of_each_side():
    assert Box(10, 10, 20, 30).padded(0.1) == (9, 8, 21, 32)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box(1, 2, 3, 4), (1, 2, 3, 4)),
        (Box(-5, -6, 200, 300), (0, 0, 100, 50)),
        (Box(90, 40, 101, 51), (90, 40, 100, 50)),
        (Box(200, 60, 300, 70), (100, 50, 100, 50)),
    ],
)
def test_box_clipped(box, inside):
    assert box.clipped(PHOTO) == inside


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (Box(0, 0, 10, 10), 1.0),
        (Box(5, 0, 15, 10), 50 / 150),
        (Box(2, 2, 4, 4), 4 / 100),
        (Box(10, 0, 20, 10), 0.0),
        (Box(20, 20, 30, 30), 0.0),
    ],
)
def test_box_iou(other, iou):
    box = Box(0, 0, 10, 10)
    assert box.iou(other) == other.iou(box) == pytest.approx(iou)


@pytest.mark.parametrize(
    ("box", "region"),
    [(Box(1, 2, 3, 4), (1, 2, 3, 4)), (Box(1.2, 1.8, 3.1, 3.9), (1, 1, 4, 4)), (Box(-0.5, 0, 0.5, 1), (-1, 0, 1, 1))],
)
def test_box_region_is_every_pixel_it_touches(box, region):
    assert box.region() == region
    assert all(isinstance(edge, int) for edge in box.region())

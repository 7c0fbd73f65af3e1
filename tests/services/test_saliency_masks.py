"""What a network sees in a box becomes a mask of the box's thing; the network here is the photo's red channel."""

import numpy as np
import pytest

from tensorhop.models.presets import OnnxFormat
from tensorhop.services.segment.saliency_masks import normalized, segment
from tensorhop.values.geometry import Box, Region, size_of
from tensorhop.values.results import Mask

FORM = OnnxFormat((64, 64), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), logits=False)


def red(tensors: np.ndarray) -> np.ndarray:
    return tensors[:, 0]


def photo_of(*things: tuple[Region, int], height: int = 200, width: int = 300) -> np.ndarray:
    photo = np.zeros((height, width, 3), np.uint8)
    for region, value in things:
        photo[region.slices] = value
    return photo


def cut(photo: np.ndarray, box: Box) -> np.ndarray:
    """The mask at the photo's size."""
    (mask,) = segment(red, FORM, [photo], [box])
    return whole(mask, photo)


def whole(mask: Mask, photo: np.ndarray) -> np.ndarray:
    mask.check(size_of(photo))
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[mask.region.slices] = mask.alpha
    return alpha


THING = Region(60, 60, 120, 140)


def test_a_thing_is_where_it_is() -> None:
    photo = photo_of((THING, 255))
    (mask,) = segment(red, FORM, [photo], [Box(50, 50, 130, 150)])
    alpha = whole(mask, photo)
    assert (alpha[70:130, 70:110] == 255).all()
    assert np.abs((alpha > 127).astype(int) - (photo[..., 0] > 127)).sum() < 0.1 * THING.size.width * THING.size.height
    for edge in (mask.alpha[0], mask.alpha[-1], mask.alpha[:, 0], mask.alpha[:, -1]):
        assert edge.any(), "trimmed"


def test_a_neighbour_is_left_out_even_where_its_haze_enters() -> None:
    photo = photo_of((THING, 255), (Region(136, 40, 200, 160), 255), (Region(126, 60, 136, 140), 60))
    alpha = cut(photo, Box(58, 58, 130, 142))
    assert (alpha[70:130, 70:110] == 255).all()
    assert not alpha[:, 131:].any()


def test_what_sticks_out_of_the_box_is_kept_and_the_rest_of_a_large_thing_is_not() -> None:
    photo = photo_of((THING, 255))
    assert (cut(photo, Box(50, 50, 130, 130))[132:138, 70:110] > 200).all(), "most of it is in the box"
    wall = photo_of((Region(0, 60, 300, 140), 255))
    alpha = cut(wall, Box(100, 50, 160, 150))
    assert (alpha[70:130, 105:155] == 255).all()
    assert not alpha[:, :90].any()
    assert not alpha[:, 170:].any()


def test_translucent_pixels_inside_the_box_stay() -> None:
    photo = photo_of((THING, 255), (Region(70, 30, 110, 55), 90))
    assert np.abs(cut(photo, Box(50, 20, 130, 150))[35:50, 80:100].astype(int) - 90).max() <= 2


def test_a_box_of_the_whole_photo_keeps_all_that_the_network_sees() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(cut(photo, Box(0, 0, 64, 64)), photo[..., 0])


def test_where_nothing_stands_out_the_mask_is_empty_and_not_stretched() -> None:
    photo = np.full((100, 100, 3), 20, np.uint8)
    (mask,) = segment(red, FORM, [photo], [Box(10, 10, 60, 60)])
    assert mask.alpha.shape == (0, 0)
    assert mask.region.empty
    photo[:] = 60
    assert set(np.unique(cut(photo, Box(0, 0, 100, 100)))) == {60}


def test_a_batch_answers_as_each_alone(cat: np.ndarray, coffee: np.ndarray) -> None:
    images, boxes = [cat, coffee, cat], [Box(30, 30, 300, 250), Box(77, 18, 480, 390), Box(0, 0, 451, 300)]
    runs: list[int] = []

    def counted(tensors: np.ndarray) -> np.ndarray:
        runs.append(len(tensors))
        return red(tensors)

    together = segment(counted, FORM, images, boxes, most=2)
    assert runs == [2, 1]
    for mask, image, box in zip(together, images, boxes, strict=True):
        (alone,) = segment(red, FORM, [image], [box])
        assert mask.region == alone.region
        assert np.array_equal(mask.alpha, alone.alpha)
    assert segment(red, FORM, [], []) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (7, 3)])
def test_odd_sizes_and_boxes_over_the_edge(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 200, np.uint8)
    assert (cut(photo, Box(-30, -30, shape[1] + 30, shape[0] + 30)) == 200).all()
    cut(photo, Box(0.2, 0.2, 0.6, 0.6))


def test_normalization() -> None:
    form = OnnxFormat((2, 4), (0.5, 0.25, 0.0), (0.5, 1.0, 2.0), logits=False)
    picture = np.full((2, 4, 3), (51, 102, 204), np.uint8)
    tensor = normalized(picture, form)
    assert tensor.shape == (3, 2, 4)
    assert tensor.dtype == np.float32
    assert tensor[:, 0, 0] == pytest.approx([(0.2 - 0.5) / 0.5, 0.4 - 0.25, 0.8 / 2])
    by_image = normalized(picture, OnnxFormat((2, 4), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), logits=False, per_image=True))
    assert by_image[:, 0, 0] == pytest.approx([0.25, 0.5, 1.0])

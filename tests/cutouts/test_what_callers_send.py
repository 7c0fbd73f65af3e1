"""Photos with an alpha, masks and boxes that do not fit, and phrases that list several: used, refused or told."""

import io

import numpy as np
import pytest
from PIL import Image

from tensorhop import Mask
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.cutouts.known_alpha import alpha_masks, bounded, whole_object
from tensorhop.v1 import fault_pb2
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region
from tensorhop.values.results import Description, Detections, ObjectFault, ObjectResult, Summary
from tensorhop.wire.messages import corners

pytestmark = pytest.mark.slow

IN_PLACE = Finish(center=False, shadow="none")
Y, X = np.mgrid[:200, :240]
RADIUS = np.hypot(X - 120, Y - 100)
RING = np.where(RADIUS < 90, 255, 0).astype(np.uint8)
SQUARE = np.where((abs(X - 60) < 40) & (abs(Y - 100) < 40), 255, 0).astype(np.uint8)


def file_of(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def badge(ring: int = 255, alpha: np.ndarray = RING, ground: int = 255) -> np.ndarray:
    """A ring of that grey round a red disc, on transparent ground of another grey."""
    colours = np.where((alpha > 0)[..., None], np.uint8(ring), np.uint8(ground)).repeat(3, axis=2)
    colours[RADIUS < 50] = (200, 30, 30)
    return np.dstack([colours, alpha])


def run(client: PipelineClient, image: object, **options: object) -> list:
    return list(client.process(image, return_masks=True, return_layers=True, finish=IN_PLACE, **options))


def all_of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def cut(event: ObjectResult, shape: tuple[int, ...] = RING.shape) -> np.ndarray:
    """The alpha of a cut-out, on the photo's canvas."""
    alpha = np.zeros(shape, np.uint8)
    alpha[event.cutout.region.slices] = event.cutout.pixels[..., 3]
    return alpha


def iou(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one >= 128, other >= 128
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


# A photo's own alpha.


@pytest.mark.parametrize("ring", [255, 0, 128, 240])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_alpha_of_a_cut_out_is_its_mask(client: PipelineClient, ring: int, kind: str) -> None:
    """Whatever the object's colour, also that of the ground under it."""
    options = {"lossless": True} if kind == "WEBP" else {}
    events = run(client, file_of(badge(ring, ground=ring), kind, **options))
    (result,), (found,), (summary,) = (all_of(one, events) for one in (ObjectResult, Detections, Summary))
    assert iou(cut(result), RING) > 0.99
    assert len(all_of(Description, events)) == 1, "it has a name"
    assert "its own alpha was taken" in "".join(found.warnings)
    assert summary.alpha == "mask"
    assert [step.step for step in summary.steps] == ["describe", "postprocess"]


def test_the_transparent_colour_of_a_gif_is_alpha(client: PipelineClient) -> None:
    indices = np.where(RING > 0, np.where(RADIUS < 50, 1, 2), 0).astype(np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 255, 255, 200, 30, 30, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "GIF", transparency=0)
    (result,) = all_of(ObjectResult, run(client, file.getvalue()))
    assert iou(cut(result), RING) > 0.99


def test_pixels_with_alpha_are_taken_as_a_file_with_alpha(client: PipelineClient) -> None:
    for image in (badge(), Image.fromarray(badge())):
        (result,) = all_of(ObjectResult, run(client, image))
        assert iou(cut(result), RING) > 0.99


@pytest.mark.parametrize(
    "asked", [{"phrases": ["badge"]}, {"boxes": [(20, 0, 220, 200)]}, {"boxes": [(0, 0, 240, 200)]}]
)
def test_a_box_that_holds_a_cut_out_takes_its_alpha(client: PipelineClient, asked: dict) -> None:
    events = run(client, file_of(badge()), **asked)
    (result,), (summary,) = all_of(ObjectResult, events), all_of(Summary, events)
    assert iou(cut(result), RING) > 0.99
    assert summary.alpha == "mask"


def test_no_result_is_above_the_alpha(client: PipelineClient, cat: np.ndarray) -> None:
    """Not a mask of segment's, and not the caller's own."""
    fade = np.linspace(0, 255, cat.shape[1]).astype(np.uint8)[None].repeat(len(cat), axis=0)
    photo, whole = file_of(np.dstack([cat, fade])), np.full(cat.shape[:2], 255, np.uint8)
    for asked in ({"boxes": [(20, 10, 440, 300)]}, {"masks": [whole]}, {"masks": [whole.astype(np.float32) / 255]}):
        events = run(client, photo, **asked)
        (result,), (found,), (summary,) = (all_of(one, events) for one in (ObjectResult, Detections, Summary))
        assert (cut(result, cat.shape[:2]).astype(int) <= fade.astype(int) + 1).all()
        assert "nothing beyond its own alpha" in "".join(found.warnings)
        assert summary.alpha == "bound"


def test_an_opaque_photo_says_nothing_of_alpha(client: PipelineClient, cat: np.ndarray) -> None:
    opaque = np.dstack([cat, np.full(cat.shape[:2], 255, np.uint8)])
    events = run(client, file_of(opaque), boxes=[(20, 10, 440, 300)])
    (found,), (summary,) = all_of(Detections, events), all_of(Summary, events)
    assert (found.warnings, summary.alpha) == ([], "")


def objects(*boxes: tuple[int, int, int, int]) -> list:
    one = whole_object(RING, "thing")
    assert one is not None
    found = [type(one)() for _ in boxes]
    for each, (x0, y0, x1, y1) in zip(found, boxes, strict=True):
        each.box.x0, each.box.y0, each.box.x1, each.box.y1 = x0, y0, x1, y1
    return found


def test_of_two_pieces_a_box_takes_its_own() -> None:
    other = np.where(np.hypot(X - 180, Y - 100) < 30, 255, 0).astype(np.uint8)
    both = np.maximum(SQUARE, other)
    masks = alpha_masks(both, objects((15, 50, 105, 150), (145, 65, 215, 135), (0, 0, 240, 200), (30, 70, 60, 90)))
    assert masks.keys() == {0, 1, 2}, "the last box holds a part of a piece"
    for index, expected in enumerate((SQUARE, other, both)):
        placed = np.zeros_like(both)
        placed[masks[index].region.slices] = masks[index].alpha
        np.testing.assert_array_equal(placed, expected)


@pytest.mark.parametrize(
    "alpha",
    [
        np.full((100, 100), 255, np.uint8),
        np.zeros((100, 100), np.uint8),
        np.full((100, 100), 100, np.uint8),
        np.pad(np.full((100, 60), 255, np.uint8), ((0, 0), (20, 20))),
        255 - np.pad(np.full((3, 3), 255, np.uint8), ((0, 97), (0, 97))),
    ],
    ids=["opaque", "empty", "faint", "bars", "a corner"],
)
def test_an_alpha_that_shows_no_object(alpha: np.ndarray) -> None:
    assert whole_object(alpha, "thing") is None
    assert alpha_masks(alpha, objects((0, 0, 100, 100))) == {}


def test_the_object_of_an_alpha_is_what_is_not_transparent() -> None:
    found = whole_object(SQUARE, "thing")
    assert found is not None
    assert (found.label, found.score, corners(found.box)) == ("thing", 1, Box(21, 61, 100, 140))


def test_a_mask_without_alpha_stays() -> None:
    mask = Mask(np.full((2, 2), 9, np.uint8), Region(1, 1, 3, 3))
    assert bounded(mask, None) is mask


# Masks and boxes.


def refusal(client: PipelineClient, image: np.ndarray, **asked: object) -> fault_pb2.Fault:
    with pytest.raises(ServiceFault) as caught:
        list(client.process(image, **asked))
    assert caught.value.fault.code == fault_pb2.CODE_INVALID_ARGUMENT
    return caught.value.fault


@pytest.mark.parametrize("size", [(150, 225), (600, 902), (300, 450), (301, 451), (1, 1)])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_mask_of_another_size_is_refused(
    client: PipelineClient, cat: np.ndarray, size: tuple[int, int], dtype: type
) -> None:
    mask = np.ones(size, dtype) if dtype is not np.uint8 else np.full(size, 255, np.uint8)
    fault = refusal(client, cat, masks=[np.full(cat.shape[:2], True), mask])
    assert fault.field == "masks[1]"
    assert f"{size[1]} x {size[0]} pixels; the upright photo is 451 x 300" in fault.message


def test_a_mask_object_still_covers_a_part(client: PipelineClient, cat: np.ndarray) -> None:
    part = Mask(np.full((100, 100), 255, np.uint8), Region(50, 50, 150, 150))
    (result,) = all_of(ObjectResult, run(client, cat, masks=[part]))
    assert result.mask.region == part.region


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.uint8([[0, 1]]), "goes from 0 to 1; UINT8 goes from 0 to 255; multiply a mask of 0 and 1 by 255"),
        (np.uint8([[0, 12]]), "goes from 0 to 12"),
        (np.float32([[0, 0.01]]), "goes from 0 to 0.01"),
        (np.float32([[0, 255]]), "divide it by 255"),
        (np.float32([[-1, 1]]), "goes from -1"),
        (np.float32([[0, np.nan]]), "nan"),
    ],
)
def test_values_that_are_obviously_of_another_range_are_refused(
    client: PipelineClient, cat: np.ndarray, values: np.ndarray, says: str
) -> None:
    mask = np.zeros(cat.shape[:2], values.dtype)
    mask[50:250, 50:400] = values[0, 1]
    mask[0, 0] = values[0, 0]
    fault = refusal(client, cat, masks=[mask])
    assert fault.field == "masks[0].alpha"
    assert says in fault.message


@pytest.mark.parametrize(("most", "least", "says"), [(100, 0, "only up to 100 of 255"), (255, 255, "whole photo")])
def test_values_that_look_wrong_are_told(
    client: PipelineClient, cat: np.ndarray, most: int, least: int, says: str
) -> None:
    mask = np.full(cat.shape[:2], least, np.uint8)
    mask[50:250, 50:400] = most
    events = run(client, cat, masks=[mask])
    (found,) = all_of(Detections, events)
    assert len(all_of(ObjectResult, events)) == 1
    assert says in "".join(found.warnings)


def test_a_bool_mask_is_taken(client: PipelineClient, cat: np.ndarray) -> None:
    mask = np.zeros(cat.shape[:2], bool)
    mask[50:250, 50:400] = True
    (result,) = all_of(ObjectResult, run(client, cat, masks=[mask]))
    np.testing.assert_array_equal(cut(result, mask.shape), mask * np.uint8(255))


def test_an_empty_mask_is_a_fault_of_its_own(client: PipelineClient, cat: np.ndarray) -> None:
    (fault,) = all_of(ObjectFault, run(client, cat, masks=[np.zeros(cat.shape[:2], bool)]))
    assert "is empty" in fault.message


@pytest.mark.parametrize("box", [(0.1, 0.1, 0.9, 0.9), (0, 0, 1, 0.5), (0.25, 0, 1, 1)])
def test_a_box_in_fractions_is_refused_with_a_hint(client: PipelineClient, cat: np.ndarray, box: tuple) -> None:
    fault = refusal(client, cat, boxes=[(5, 5, 100, 100), box])
    assert fault.field == "boxes[1]"
    assert "multiply fractions by the photo's width, 451, and height, 300" in fault.message


def test_a_box_of_one_pixel_gets_a_hint(client: PipelineClient, cat: np.ndarray) -> None:
    (found,) = all_of(Detections, run(client, cat, boxes=[(0, 0, 1, 1)]))
    assert "not in fractions" in "".join(found.warnings)


def test_more_objects_than_wanted_are_told(client: PipelineClient, cat: np.ndarray) -> None:
    options = {"phrases": ["cat"], "score_threshold": 0.0, "iou_threshold": 1.0}
    photo = np.hstack([cat, cat])
    (every,) = all_of(Detections, run(client, photo, max_objects=500, **options))
    assert len(every.detections) > 1
    assert not every.warnings
    (best,) = all_of(Detections, run(client, photo, max_objects=1, **options))
    assert best.warnings == [
        f"{len(every.detections)} objects were found, and max_objects is 1: the best 1 are cut out."
    ]
    assert best.detections == every.detections[:1]


# Phrases.


@pytest.mark.parametrize("text", ["cup . cat .", "cup. cat.", "cup; cat", "cup\ncat", "cup|cat", '["cup", "cat"]'])
def test_several_phrases_in_one_are_looked_for_each(client: PipelineClient, cat: np.ndarray, text: str) -> None:
    (found,) = all_of(Detections, run(client, cat, phrases=["dog", text]))
    (apart,) = all_of(Detections, run(client, cat, phrases=["dog", "cup", "cat"]))
    assert [(one.label, one.score, one.box) for one in found.detections] == [
        (one.label, one.score, one.box) for one in apart.detections
    ]
    assert {one.label: one.phrase_index for one in found.detections}["cat"] == 1
    assert not found.warnings


@pytest.mark.parametrize(
    "text", ["cup and cat", "a cup, a cat", "cup/cat", "cup & cat", "cup, dog and cat", "dog or cat"]
)
def test_a_list_of_known_objects_is_divided_and_told(client: PipelineClient, cat: np.ndarray, text: str) -> None:
    (found,) = all_of(Detections, run(client, cat, phrases=[text]))
    assert any(one.label.endswith("cat") and one.phrase_index == 0 for one in found.detections)
    assert "was taken for several" in "".join(found.warnings)


def test_one_phrase_with_and_stays_one_and_is_told(client: PipelineClient, cat: np.ndarray) -> None:
    (found,) = all_of(Detections, run(client, cat, phrases=["black and white cat"]))
    assert {one.label for one in found.detections} == {"black and white cat"}
    assert "was taken for one object" in "".join(found.warnings)


def test_labels_of_boxes_may_come_as_one_text(client: PipelineClient, cat: np.ndarray) -> None:
    boxes = [(20, 10, 440, 300), (0, 0, 220, 300)]
    (found,) = all_of(Detections, run(client, cat, boxes=boxes, phrases=["cat . ear ."]))
    assert [one.label for one in found.detections] == ["cat", "ear"]

"""StepClient and what clients take, on real services: each step alone gives what it gives in the chain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tensorhop import Finish, InvalidInput, Mask, ObjectResult, PipelineClient, ServiceFault, StepClient, compose
from tensorhop.client.inputs import pixels_of, to_mask, to_phrases
from tensorhop.rpc.server import Server
from tensorhop.values.geometry import Region

CAT = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"


@pytest.fixture(scope="module")
def steps(servers: dict[str, Server]) -> Iterator[StepClient]:
    with StepClient({name: server.address for name, server in servers.items()}) as client:
        yield client


def test_the_steps_one_by_one_give_what_the_chain_gives(
    steps: StepClient, client: PipelineClient, cat: np.ndarray
) -> None:
    description = steps.describe(CAT)
    found = steps.detect(CAT, description.text)
    best = found.detections[0]
    (mask,) = steps.segment(CAT, [best.box])
    assert isinstance(mask, Mask)
    finish = Finish(refine=True)
    cutout = steps.postprocess(cat, mask, finish=finish)
    events = list(client.process(CAT, max_objects=1, finish=finish, return_masks=True, return_layers=True))
    (whole,) = [event for event in events if isinstance(event, ObjectResult)]
    assert (best.label, best.box) == (whole.detection.label, whole.detection.box)
    assert whole.mask is not None
    assert whole.cutout is not None
    assert whole.picture is not None
    np.testing.assert_array_equal(mask.alpha, whole.mask.alpha)
    np.testing.assert_array_equal(cutout.cutout.pixels, whole.cutout.pixels)
    layers = [layer for layer in (cutout.shadow, cutout.cutout) if layer is not None]
    np.testing.assert_array_equal(compose(layers, whole.picture.region), whole.picture.pixels)


def test_a_box_that_fails_leaves_the_others(steps: StepClient) -> None:
    with pytest.raises(ServiceFault) as caught:
        steps.segment(CAT, [(10, 10, 5, 5)])
    assert (caught.value.fault.field, caught.value.fault.service) == ("boxes[0]", "segment")
    assert all(isinstance(one, Mask) for one in steps.segment(CAT, [(10, 10, 200, 200), (100, 50, 300, 250)]))


def test_an_address_of_no_service_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names 'segmnt'; known are pipeline, describe"):
        StepClient({"segmnt": "localhost:1"})


RGB = np.dstack([np.full((4, 5), value, np.uint8) for value in (10, 20, 30)])
GREY = np.full((4, 5), 7, np.uint8)


@pytest.mark.parametrize(
    ("picture", "order", "expected"),
    [
        (RGB, "rgb", RGB),
        (cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR), "bgr", RGB),
        (np.dstack([RGB, np.full((4, 5), 255, np.uint8)]), "rgb", RGB),
        (GREY, "rgb", np.dstack([GREY] * 3)),
        (GREY[..., None], "rgb", np.dstack([GREY] * 3)),
        (Image.fromarray(RGB), "rgb", RGB),
        (Image.fromarray(GREY), "rgb", np.dstack([GREY] * 3)),
    ],
    ids=["rgb", "bgr", "opaque rgba", "grey", "grey with an axis", "Pillow", "grey of Pillow"],
)
def test_what_people_hold_is_taken(picture: Any, order: Any, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels_of(picture, order), expected)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_a_file_are_taken_in_every_form(kind: Any, cat: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels_of(kind(CAT.read_bytes())), cat)


@pytest.mark.parametrize(
    ("picture", "order", "words"),
    [
        (RGB / 255, "rgb", "array of float64; an image is uint8, 0 to 255; multiply by 255"),
        (RGB.transpose(2, 0, 1), "rgb", "looks like channels first"),
        (RGB[..., :2], "rgb", r"has shape \[4, 5, 2\]"),
        (RGB, "gbr", "is 'gbr'; it must be 'rgb' or"),
        (str(CAT), "bgr", "for arrays only"),
        (5, "rgb", "is a int; give a numpy array"),
    ],
)
def test_what_cannot_be_taken_is_told(picture: Any, order: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        pixels_of(picture, order)


def test_masks_and_phrases_as_people_hold_them() -> None:
    wanted = np.array([[0, 255], [255, 0]], np.uint8)
    whole = Region(0, 0, 2, 2)
    for mask in (wanted > 0, wanted, Image.fromarray(wanted)):
        found = to_mask(mask)
        np.testing.assert_array_equal(found.alpha, wanted)
        assert found.region == whole
    assert to_mask(wanted / 255).alpha.dtype == np.float32
    with pytest.raises(InvalidInput, match=r"masks is an array of shape \[2, 2, 3\]"):
        to_mask(np.zeros((2, 2, 3), np.uint8))
    assert to_phrases("cat") == ["cat"]
    assert to_phrases(("cat", "dog")) == ["cat", "dog"]
    with pytest.raises(InvalidInput, match=r"phrases\[1\] is a int"):
        to_phrases(["cat", 5])  # type: ignore[list-item]

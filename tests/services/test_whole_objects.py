"""A detector's box may show a part: masks grow to the whole object, and not into its neighbours."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tensorhop.models.presets import U2NET
from tensorhop.services.detect.embedded import EmbeddedDetector
from tensorhop.services.embedded.central import CentralObject
from tensorhop.services.embedded.necks import joined
from tensorhop.services.embedded.network import Network
from tensorhop.services.embedded.saliency import look_at, shows_little
from tensorhop.services.segment.embedded import EmbeddedSegmenter
from tensorhop.services.segment.instances import split_grown, wider
from tensorhop.services.segment.saliency_masks import segment
from tensorhop.values.geometry import Box, Region, Size

pytestmark = pytest.mark.slow

PICTURE = np.zeros((200, 200, 3), np.uint8)


def drawn(*shapes: tuple[int, int, int, int]) -> np.ndarray:
    area = np.zeros((200, 200), bool)
    for x0, y0, x1, y1 in shapes:
        area[y0:y1, x0:x1] = True
    return area


LEFT, RIGHT = (20, 60, 80, 140), (120, 60, 180, 140)


@pytest.mark.parametrize(
    ("bridge", "whole"),
    [
        ((80, 95, 120, 105), False),  # a neck of 10 between two of 60
        ((80, 70, 120, 130), True),
    ],
)
def test_a_neck_divides_and_a_broad_bridge_does_not(bridge: tuple[int, int, int, int], whole: bool) -> None:
    area = drawn(LEFT, bridge, RIGHT)
    kept = joined(area, area & drawn(LEFT))
    assert kept[100, 40]
    assert kept[100, 160] == whole


def test_a_thin_part_stays() -> None:
    area = drawn(LEFT, (80, 98, 190, 104))
    assert np.array_equal(joined(area, area & drawn(LEFT)), area)


@pytest.mark.parametrize("scale", [1, 4])
def test_a_box_of_a_part_gets_the_whole_object(scale: int) -> None:
    saliency = cv2.resize(drawn((40, 40, 160, 160)).astype(np.float32), None, fx=scale, fy=scale)
    box = Box(40.0 * scale, 40.0 * scale, 160.0 * scale, 90.0 * scale)
    core, others = split_grown(saliency, box, [], PICTURE, 0.75)
    assert np.array_equal(core, saliency >= 0.5)
    assert not others.any()


def test_two_objects_that_touch_stay_two_and_meet_at_the_edge_between_them() -> None:
    saliency = drawn((20, 40, 180, 160)).astype(np.float32)
    picture = PICTURE.copy()
    slant = np.fromfunction(lambda y, x: x < 100 + (y - 100) / 4, (200, 200))
    picture[slant] = (200, 40, 40)
    boxes = [Box(20, 40, 115, 160), Box(85, 40, 180, 160)]
    left, _ = split_grown(saliency, boxes[0], [boxes[1]], picture, 0.75)
    right, _ = split_grown(saliency, boxes[1], [boxes[0]], picture, 0.75)
    assert np.mean(left[40:160, 20:180] == slant[40:160, 20:180]) > 0.97, "all but the line itself"
    assert not (left & right)[40:160].any()


def test_an_inner_box_takes_nothing_from_the_outer_one_and_does_not_become_it() -> None:
    saliency = drawn((20, 40, 180, 160)).astype(np.float32)
    car, wheel = Box(20, 40, 180, 160), Box(30, 100, 80, 160)
    picture = PICTURE.copy()
    cv2.circle(picture, (55, 130), 24, (220, 220, 220), -1)
    whole, _ = split_grown(saliency, car, [wheel], picture, 0.75)
    part, _ = split_grown(saliency, wheel, [car], picture, 0.75)
    assert whole.sum() == saliency.sum()
    assert 0.7 < part.sum() / (np.pi * 24 * 24) < 1.3


def test_what_a_frame_cuts_is_looked_at_with_more_around_it() -> None:
    core = np.zeros((10, 10), bool)
    core[4:, 3:6] = True
    assert wider(core, Region(100, 100, 200, 200), Size(400, 400)) == Region(100, 100, 200, 300)
    assert wider(core, Region(100, 100, 200, 200), Size(400, 200)) is None, "cut by the photo's own frame"


def test_little_that_is_salient_is_looked_at_again_with_a_border() -> None:
    seen = []

    class Network:
        def predict_small(self, image: np.ndarray) -> np.ndarray:
            seen.append(image.shape)
            look = np.zeros((320, 320), np.float32)
            look[100:220, 100:220] = len(seen) - 1
            return look

    look = look_at(Network(), np.full((90, 70, 3), 9, np.uint8))
    assert len(seen) == 2
    assert look.shape == (320, 320)
    assert 0.15 < look.mean() < 0.25, "the border is taken off again"


@pytest.mark.parametrize("grow", [False, True])
def test_other_networks_grow_too_where_the_caller_did_not_choose(grow: bool) -> None:
    """The network sees a bright bar; the box shows its middle, and so does the first view."""
    photo = np.zeros((100, 400, 3), np.uint8)
    photo[30:70, 40:360] = 255

    def network(tensors: np.ndarray) -> np.ndarray:
        return (tensors[:, 0] > 0).astype(np.float32)

    (mask,) = segment(network, U2NET, [photo], [Box(120, 20, 240, 80)], neighbours=[[]] if grow else None)
    region = mask.region
    assert (region.x0 < 60 and region.x1 > 340) == grow


def test_the_callers_box_bounds_and_a_detectors_box_does_not(coffee: np.ndarray) -> None:
    segmenter, box = EmbeddedSegmenter(), Box(77, 18, 480, 240)  # the cup's upper part
    (bounded,) = segmenter.predict([coffee], [box])
    (grown,) = segmenter.predict_grown([coffee], [box], [[]])
    assert bounded.region.y1 < 275
    assert grown.region.y1 > 370


def blank(photo: np.ndarray) -> np.ndarray:
    return np.full_like(photo, 128)


def faint(photo: np.ndarray) -> np.ndarray:
    """A grey, small copy of a photo: the network sees little of its object."""
    grey = cv2.cvtColor(cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


@pytest.mark.parametrize("change", [np.array, np.fliplr, faint, blank])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.3, 0.1, 0.6, 0.5), (0.1, 0.3, 0.7, 0.4)])
def test_the_runs_of_the_network_are_bounded(
    change: Callable[[np.ndarray], np.ndarray],
    box: tuple[float, float, float, float],
    cat: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two for a box, as there were before boxes grew; one for the central object; for detect's first look, two."""
    photo = np.ascontiguousarray(change(cat))
    height, width = photo.shape[:2]
    part = Box(box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    runs, own = [], Network.run
    monkeypatch.setattr(Network, "run", lambda network, tensor: (runs.append(network), own(network, tensor))[1])

    def counted(step: Callable[[], object]) -> int:
        runs.clear()
        step()
        return len(runs)

    segmenter = EmbeddedSegmenter()
    assert counted(lambda: segmenter.predict([photo], [part])) <= 2
    assert counted(lambda: segmenter.predict_grown([photo], [part], [[]])) <= 2
    assert counted(lambda: CentralObject().find(photo)) == 1
    assert counted(lambda: EmbeddedDetector().predict([photo], [["thingamajig"]])) <= 2


def test_what_the_network_is_unsure_of_does_not_come_with_an_object() -> None:
    """A rocket on its pad: the pad's saliency goes up and down with the photo's compression."""
    rocket, pad = drawn((90, 20, 110, 170)), drawn((40, 170, 160, 190))
    for unsure in (0.45, 0.55, 0.8):
        saliency = np.where(rocket, 1, np.where(pad, unsure, 0)).astype(np.float32)
        core, _ = split_grown(saliency, Box(90, 20, 110, 165), [], PICTURE, 0.75)
        assert 0.95 < core.sum() / rocket.sum() < 1.05
    core, _ = split_grown((rocket | pad).astype(np.float32), Box(90, 20, 110, 165), [], PICTURE, 0.75)
    assert core[pad].all(), "what is surely salient comes along"


@pytest.mark.parametrize(("saliency", "again"), [(0.95, False), (0.6, True)])
def test_a_small_object_that_is_clear_is_not_looked_at_again(saliency: float, again: bool) -> None:
    look = np.zeros((320, 320), np.float32)
    look[100:140, 100:140] = saliency
    assert shows_little(look) == again

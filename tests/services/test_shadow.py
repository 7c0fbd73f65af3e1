"""Where a shadow lies, measured on its layer."""

import cv2
import numpy as np
import pytest

from tensorhop.services.postprocess.center import visible_box
from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.postprocess.shadow import draw, fitting_length, reach
from tensorhop.services.postprocess.solid import Solid
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Box, Region, Size
from tensorhop.values.results import Layer, Mask, Placement

CANVAS = Size(1000, 1000)
WHOLE = Region(0, 0, 1000, 1000)
IN_PLACE = Placement(CANVAS, 1.0, 0.0, 0.0)


def ball() -> np.ndarray:
    return cv2.circle(np.zeros((1000, 1000), np.uint8), (500, 500), 150, 255, -1, cv2.LINE_AA)


def box() -> np.ndarray:
    return cv2.rectangle(np.zeros((1000, 1000), np.uint8), (400, 350), (599, 599), 255, -1)


def post() -> np.ndarray:
    return cv2.rectangle(np.zeros((1000, 1000), np.uint8), (485, 300), (514, 599), 255, -1)


def chair() -> np.ndarray:
    """Two legs in front, two behind, which end 60 rows higher."""
    picture = cv2.rectangle(np.zeros((1000, 1000), np.uint8), (350, 380), (650, 420), 255, -1)
    for x, y in ((360, 640), (640, 640), (420, 580), (580, 580)):
        cv2.rectangle(picture, (x - 8, 420), (x + 8, y), 255, -1)
    return picture


def stance(alpha: np.ndarray) -> Solid:
    return Solid.of(alpha.astype(np.float32) / 255, WHOLE, CANVAS)


def on_canvas(layer: Layer | None) -> np.ndarray:
    """Alpha of a shadow, 0 to 1, on the whole canvas."""
    alpha = np.zeros((1000, 1000))
    if layer is not None:
        assert not layer.pixels[..., :3].any()
        alpha[layer.region.slices] = layer.pixels[..., 3] / 255
    return alpha


def drawn(alpha: np.ndarray, kind: str = "cast", rot: float = 60, **how: float) -> np.ndarray:
    return on_canvas(draw(stance(alpha), IN_PLACE, kind, rot, **how))


def contact_close_up(alpha: np.ndarray) -> np.ndarray:
    """Contact shadow in full detail, as finish makes it: from no more than the pixels that the object covers."""
    own = visible_box(alpha, 0)
    return on_canvas(draw(Solid.of(alpha[own.slices] / np.float32(255), own, CANVAS), IN_PLACE, "contact", 60))


def middle(alpha: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(alpha.shape)
    return float((columns * alpha).sum() / alpha.sum()), float((rows * alpha).sum() / alpha.sum())


@pytest.mark.parametrize("make", [ball, box, post, chair])
@pytest.mark.parametrize("rot", range(0, 360, 45))
def test_falls_to_its_bearing(make, rot: int) -> None:  # type: ignore[no-untyped-def]
    """A longer shadow's middle moves right by the sine of the bearing, and up by its foreshortened cosine."""
    near, far = (middle(drawn(make(), rot=rot, length=length)) for length in (0.3, 1.2))
    right, up = far[0] - near[0], near[1] - far[1]
    bearing = np.degrees(np.arctan2(right, up / 0.35)) % 360
    assert min(abs(bearing - rot), 360 - abs(bearing - rot)) < 20
    assert np.hypot(right, up / 0.35) > 15


def test_bearings_are_a_circle() -> None:
    assert np.array_equal(drawn(ball(), rot=-90), drawn(ball(), rot=270))
    assert np.array_equal(drawn(ball(), rot=360 * 5), drawn(ball(), rot=0))
    left, right = drawn(ball(), rot=300), drawn(ball(), rot=60)
    assert np.abs(left[:, ::-1][:, :-1] - right[:, 1:]).max() < 0.1


@pytest.mark.parametrize("make", [ball, box, post, chair])
@pytest.mark.parametrize("rot", [0, 60, 180, 250])
def test_nothing_floats(make, rot: int) -> None:  # type: ignore[no-untyped-def]
    """It is dark just below the foot, and the shadow hangs together with the object."""
    alpha = make()
    shadow = drawn(alpha, rot=rot)
    rows, columns = np.nonzero(alpha > 127)
    foot = columns[rows == rows.max()]
    below = shadow[rows.max() + 1 : rows.max() + 6, foot]
    assert below.max() > 0.12
    pieces, _ = cv2.connectedComponents(((shadow > 0.08) | (alpha > 127)).astype(np.uint8))
    assert pieces == 2  # the ground, and one thing on it


def test_a_ball_stands_on_what_is_under_it() -> None:
    """The shadow starts under the ball: it reaches up behind it, above the lowest row."""
    contact = drawn(ball(), "contact")
    assert contact[650 - 40 : 650, 450:550].max() > 0.4
    assert contact[660:665, 490:510].mean() < contact[640:650, 490:510].mean()
    assert contact[:560].max() == 0


def test_every_foot_has_its_own_height() -> None:
    contact = drawn(chair(), "contact")
    for x, y in ((360, 640), (640, 640), (420, 580), (580, 580)):
        assert contact[y - 10 : y + 8, x - 20 : x + 20].max() > 0.3
    for x, y in ((420, 640), (580, 640), (360, 560), (640, 560)):
        assert contact[y - 8 : y + 8, x - 8 : x + 8].max() < 0.2


def test_is_sharp_at_the_foot_and_soft_far_away() -> None:
    """How fast it gets dark across a shadow that falls to the right."""
    shadow = drawn(post(), rot=90, length=1.5, softness=0.04)
    steepest = np.abs(np.diff(shadow, axis=0)).max(axis=0)
    darkest = shadow.max(axis=0)
    near, far = 530, 750
    assert darkest[far] > 0.03
    assert steepest[near] / darkest[near] > 2 * steepest[far] / darkest[far]
    assert darkest[near] > darkest[far]


def test_is_darkest_where_it_stands() -> None:
    shadow = drawn(post(), rot=90)
    row = shadow[590:610].max(axis=0)
    assert row[516:530].max() > 1.2 * row[600:].max()
    assert row[600] > row[680] > 0


def test_a_wheel_is_no_disc() -> None:
    """The ground that is seen between the spokes is not all in the dark."""
    wheel = cv2.circle(np.zeros((1000, 1000), np.uint8), (500, 450), 150, 255, 12, cv2.LINE_AA)
    contact = contact_close_up(wheel)
    assert contact[606:610, 480:520].max() > 0.25
    assert contact[:585].max() < 0.1


def test_both_lower_edges_of_a_box_touch_the_ground() -> None:
    crate = np.zeros((1000, 1000), np.uint8)
    cv2.fillPoly(crate, [np.array([(300, 400), (530, 330), (700, 400), (700, 600), (530, 715), (300, 605)])], 255)
    contact = contact_close_up(crate)
    for x, y in ((340, 624), (450, 677), (600, 667), (680, 614)):
        assert contact[y + 4 : y + 9, x].max() > 0.2


def test_contact_follows_a_curved_base_without_steps() -> None:
    mug = cv2.rectangle(np.zeros((4000, 4000), np.uint8), (500, 300), (3500, 3300), 255, -1)
    mug = cv2.ellipse(mug, (2000, 3300), (1500, 400), 0, 0, 360, 255, -1)
    contact = contact_close_up(cv2.resize(mug, (1000, 1000), interpolation=cv2.INTER_AREA))
    columns = np.arange(300, 701)
    edge = 825 + 100 * np.sqrt(1 - ((columns + 0.5 - 500) / 375) ** 2)
    beside = np.array(
        [np.interp(y + 2, np.arange(1000) + 0.5, contact[:, x]) for x, y in zip(columns, edge, strict=True)]
    )
    assert beside.min() > 0.2
    assert np.abs(beside - cv2.blur(beside, (1, 25))[:, 0])[15:-15].max() < 0.03


def test_what_the_photo_cuts_stands_on_the_cut() -> None:
    """A bust, of which the mask has a hole at the photo's lower edge."""
    bust = np.full((500, 400), 1, np.float32)
    bust[450:, 60:150] = 0
    cut = Solid.of(bust, Region(300, 100, 700, 600), Size(1000, 600))
    whole = Solid.of(bust, Region(300, 100, 700, 600), Size(1000, 700))
    assert np.ptp(cut.ground) == 0  # on one straight base
    assert np.ptp(whole.ground) > 2  # on two feet, the thin one nearer to the viewer's edge of its base


def test_more_of_each_parameter_is_more() -> None:
    reaches = []
    for length in (0.0, 0.5, 1.0, 2.0):
        shadow = drawn(post(), rot=90, length=length)
        reaches.append(np.flatnonzero(shadow.max(axis=0) > 0.02).max())
    assert reaches == sorted(set(reaches))
    soft = [drawn(box(), rot=90, softness=softness)[500:595, 650:] for softness in (0, 0.035, 0.08, 0.2)]
    steepest = [np.abs(np.diff(shadow, axis=0)).max() for shadow in soft]
    assert steepest == sorted(set(steepest), reverse=True)
    for kind in ("contact", "cast"):
        areas = [drawn(ball(), kind, opacity=opacity).sum() for opacity in (0.0, 0.3, 0.6, 1.0)]
        assert areas == sorted(set(areas))
        assert areas[0] == 0


def test_opacity_is_the_light_that_is_missing() -> None:
    wall = cv2.rectangle(np.zeros((1000, 1000), np.uint8), (200, 100), (800, 500), 255, -1)
    shadow = drawn(wall, rot=180, length=0.9, softness=0, opacity=0.5)
    light = (1 - shadow[535:560, 500]) ** 2.2
    assert 0.45 < light.min() < 0.62


@pytest.mark.parametrize(
    "how", [{"length": 3.0}, {"softness": 0.25}, {"length": 3.0, "softness": 0.25, "opacity": 1.0}]
)
def test_reach_holds_extremes(how: dict[str, float]) -> None:
    """With any parameters, the layer that `reach` announces fades out before its border."""
    small = cv2.resize(chair(), (250, 250), interpolation=cv2.INTER_AREA)
    standing = Solid.of(small.astype(np.float32) / 255, Region(0, 0, 250, 250), Size(250, 250))
    announced = reach(standing, "cast", 110, **{name: how[name] for name in how if name != "opacity"})
    placement = Placement(Size(1500, 1200), 1.0, 500.0, 400.0)
    layer = draw(standing, placement, "cast", 110, **how)
    assert layer is not None
    alpha = layer.pixels[..., 3]
    assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) <= 3
    assert layer.region.x0 >= announced.x0 + 500 - 1
    assert layer.region.x1 <= announced.x1 + 500 + 1


def test_kinds_and_strength() -> None:
    none, contact, cast = (drawn(box(), kind) for kind in ("none", "contact", "cast"))
    assert not none.any()
    assert contact.sum() > 100
    assert cast.sum() > 1.5 * contact.sum()
    assert (cast >= contact - 1.5 / 255).all()
    assert drawn(box(), opacity=0.9).sum() > 1.2 * drawn(box(), opacity=0.4).sum()
    assert cast.max() < 1


def test_source_over_gives_linear_light() -> None:
    """Half the light missing: on any grey, sRGB over black with this alpha is half of it in linear light."""
    # A flat ground that is all in the umbra of a tall wall, far from its contact.
    wall = cv2.rectangle(np.zeros((1000, 1000), np.uint8), (200, 100), (800, 500), 255, -1)
    shadow = drawn(wall, rot=180, length=0.9, softness=0, opacity=0.5)
    row = shadow[510:680, 500]
    light = (1 - row) ** 2.2
    assert light.min() < 0.62
    grey = 0.7
    linear = lambda value: ((value + 0.055) / 1.055) ** 2.4  # noqa: E731
    assert np.abs(linear(grey * (1 - row)) / linear(grey) - light).max() < 0.04


@pytest.mark.parametrize("make", [ball, box, post, chair])
@pytest.mark.parametrize("rot", [0, 90, 200])
def test_reach_holds_all_of_it(make, rot: float) -> None:  # type: ignore[no-untyped-def]
    rows, columns = np.nonzero(drawn(make(), rot=rot, length=0.5))
    box = reach(stance(make()), "cast", rot, 0.5)
    assert box.x0 <= columns.min() + 1
    assert box.x1 >= columns.max()
    assert box.y0 <= rows.min() + 1
    assert box.y1 >= rows.max()
    # and nothing is cut off at its border
    layer = draw(stance(make()), IN_PLACE, "cast", rot, 0.5)
    assert layer is not None
    alpha = layer.pixels[..., 3]
    assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) <= 3


def test_length_gives_way_to_the_room() -> None:
    standing, room = stance(post()), Box(300, 200, 700, 700)
    length = fitting_length(standing, "cast", 90, room)
    assert 0.1 < length < 0.7
    assert reach(standing, "cast", 90, length).x1 <= room.x1
    assert fitting_length(standing, "cast", 90, Box(-9e3, -9e3, 9e3, 9e3)) == 0.7


@pytest.mark.parametrize("make", [ball, box, post, chair])
@pytest.mark.parametrize("rot", [0, 90, 135, 225])
def test_layout_leaves_room(make, rot: float) -> None:  # type: ignore[no-untyped-def]
    photo = np.full((1000, 1000, 3), 90, np.uint8)
    cutout = finish(photo, Mask(make(), WHOLE), CANVAS, Finish(rot=rot))
    assert cutout.shadow is not None
    pixels, region, canvas = cutout.shadow.pixels, cutout.shadow.region, cutout.placement.canvas
    alpha = np.zeros((canvas.height, canvas.width), np.uint8)
    alpha[region.slices] = pixels[..., 3]
    assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) <= 3
    assert cutout.placement.scale == 2 or max(cutout.cutout.region.size) >= 0.7 * 1024 - 2


def test_crumbs_of_a_mask_are_no_feet() -> None:
    alpha = ball()
    alpha[900:903, 700:703] = 255
    shadows = [
        on_canvas(draw(Solid.of(mask / np.float32(255), WHOLE, CANVAS), IN_PLACE, "cast", 60))
        for mask in (alpha, ball())
    ]
    assert np.array_equal(shadows[0][:880], shadows[1][:880])


def test_nothing_on_the_canvas_is_no_layer() -> None:
    away = Placement(Size(50, 50), 1.0, -5000.0, 0.0)
    assert draw(stance(ball()), away, "cast", 60) is None

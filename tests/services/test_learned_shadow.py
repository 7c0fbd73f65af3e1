"""A learned shadow: what its network is given, what becomes of its picture, and which files are refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shadow_network import HALF, RADIUS, SIDE, mixing_network, network, node, shadow_network, value

from tensorhop.errors import InvalidInput
from tensorhop.services.postprocess.finishing import finish
from tensorhop.services.postprocess.learned.drawing import NEAR_WHITE
from tensorhop.services.postprocess.learned.network import OnnxShadow
from tensorhop.values.compositing import compose, flatten
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Region, Size, size_of
from tensorhop.values.results import Cutout, Mask

RGB = np.eye(3, 6)
OTHERS = np.eye(6)[3:]  # mask, sine, cosine
COLOUR = (200, 90, 40)
PHOTO = Size(300, 200)


def opened(path: Path, colours: str = "") -> OnnxShadow:
    model = OnnxShadow(path, colours)
    model.warm_up()
    return model


def constant(*channels: float) -> np.ndarray:
    """A picture for the network, each channel of one value."""
    return np.broadcast_to(np.array(channels, np.float32)[:, None, None], (6, SIDE, SIDE)).copy()


def colour_of(model: OnnxShadow, *channels: float) -> list[float]:
    (answer,) = model.predict([constant(*channels)])
    assert answer.shape == (SIDE, SIDE, 3)
    assert answer.dtype == np.float32
    return [round(float(value), 4) for value in answer[100, 200]]


def square(photo: Size = PHOTO) -> tuple[np.ndarray, Mask]:
    """An opaque square of 60 pixels with a soft rim of one, in the middle of a photo."""
    alpha = np.full((62, 62), 128, np.uint8)
    alpha[1:-1, 1:-1] = 255
    x, y = photo.width // 2 - 31, photo.height // 2 - 31
    return np.full((62, 62, 3), COLOUR, np.uint8), Mask(alpha, Region(x, y, x + 62, y + 62))


def finished(model: OnnxShadow, options: Finish, photo: Size = PHOTO) -> Cutout:
    crop, mask = square(photo)
    return finish(crop, mask, photo, options, lambda picture: model.predict([picture])[0])


def on_white(cutout: Cutout) -> np.ndarray:
    layers = [layer for layer in (cutout.shadow, cutout.cutout) if layer]
    return flatten(compose(layers, Region.of(cutout.placement.canvas)), (255, 255, 255))[..., :3]


def test_the_channels_are_red_green_blue_mask_sine_and_cosine(tmp_path: Path) -> None:
    colours = opened(mixing_network(tmp_path / "colours.onnx", RGB))
    assert colour_of(colours, 0.1, 0.2, 0.3, 1, 0.5, 0.6) == [0.1, 0.2, 0.3]
    others = opened(mixing_network(tmp_path / "others.onnx", OTHERS))
    assert colour_of(others, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6) == [0.4, 0.5, 0.6]


@pytest.mark.parametrize("rot", [0, 60, 90, 200, -75, 420])
def test_the_network_sees_the_object_on_white_its_mask_and_the_bearing(rot: float) -> None:
    seen: list[np.ndarray] = []

    def draw(picture: np.ndarray) -> np.ndarray:
        seen.append(picture.copy())
        return np.ones((SIDE, SIDE, 3), np.float32)

    crop, mask = square()
    finish(crop, mask, Size(300, 200), Finish(shadow="learned", rot=rot, decontaminate=False), draw)
    (picture,) = seen
    middle, corner = picture[:, SIDE // 2, SIDE // 2], picture[:, 5, 5]
    bearing = [np.sin(np.radians(rot)), np.cos(np.radians(rot))]
    assert np.allclose(middle, [*(np.array(COLOUR) / 255), 1, *bearing], atol=1e-5)
    assert np.allclose(corner, [1, 1, 1, 0, *bearing], atol=1e-5)


@pytest.mark.parametrize("stated", ["-1,1", " [-1.0, 1.0] ", "(-1, 1)"])
def test_the_range_of_colours_is_the_metadatas_or_the_options(tmp_path: Path, stated: str) -> None:
    """A network that halves each colour says which range it was given: -1 to 1 becomes -0.5 to 0.5."""
    plain = mixing_network(tmp_path / "plain.onnx", 0.5 * RGB)
    assert colour_of(opened(plain), 0, 0.5, 1, 0, 0, 0) == [0, 0.25, 0.5]
    assert colour_of(opened(plain, "-1,1"), 0, 0.5, 1, 0, 0, 0) == [0.25, 0.5, 0.75]
    told = mixing_network(tmp_path / "told.onnx", 0.5 * RGB, metadata={"input_range": stated})
    assert colour_of(opened(told), 0, 0.5, 1, 0, 0, 0) == [0.25, 0.5, 0.75]
    assert colour_of(opened(told, "0,1"), 0, 0.5, 1, 0, 0, 0) == [0, 0.25, 0.5]
    others = mixing_network(tmp_path / "others.onnx", OTHERS, metadata={"input_range": stated})
    assert colour_of(opened(others), 0, 0, 0, 0.5, 1, -1) == [0.75, 1, 0], "these channels stay as they are"


def test_a_batch_gives_what_each_alone_gives(tmp_path: Path) -> None:
    model = opened(shadow_network(tmp_path / "shadow.onnx"))
    pictures = [np.random.default_rng(seed).random((6, SIDE, SIDE), np.float32) for seed in range(3)]
    together = model.predict(pictures)
    for picture, answer in zip(pictures, together, strict=True):
        assert np.allclose(model.predict([picture])[0], answer, atol=1e-5)


def test_a_file_of_one_picture_a_batch_and_one_of_half_floats(tmp_path: Path) -> None:
    fixed = opened(mixing_network(tmp_path / "fixed.onnx", RGB, batch=1))
    assert fixed.largest_batch == 1
    weights = {"w": RGB.astype(np.float16).reshape(3, 6, 1, 1)}
    takes, gives = [value("x", ("n", 6, "h", "w"), HALF)], value("y", ("n", 3, "h", "w"), HALF)
    half = opened(network(tmp_path / "half.onnx", [node("Conv", ["x", "w"], "y")], weights, takes, gives))
    assert colour_of(half, 0, 0.5, 1, 0, 0, 0) == [0, 0.5, 1]


def test_the_layer_gives_the_networks_picture_over_white_and_the_object_stays(tmp_path: Path) -> None:
    """In place: one pixel of the photo is one of the canvas."""
    model = opened(shadow_network(tmp_path / "shadow.onnx"))
    solid = square()[1].region
    cutout = finished(model, Finish(shadow="learned", rot=90, center=False, decontaminate=False))
    plain = finished(model, Finish(shadow="none", center=False, decontaminate=False))
    assert np.array_equal(cutout.cutout.pixels, plain.cutout.pixels)
    picture = on_white(cutout)
    inner = (slice(solid.y0 + 1, solid.y1 - 1), slice(solid.x0 + 1, solid.x1 - 1))
    assert (picture[inner] == COLOUR).all(), "bit for bit where it is opaque"
    # The window is 62 / 0.4 = 155 pixels of the photo, so that the shadow falls RADIUS * 155 / 512 = 12 pixels away.
    away = round(RADIUS * 155 / SIDE)
    shade = round(255 * 0.5 / NEAR_WHITE)
    right = picture[100, solid.x1 + 2 : solid.x1 + away - 3]
    assert np.abs(right.astype(int) - shade).max() <= 1
    assert (picture[100, solid.x1 + away + 3 :] == 255).all()
    assert (picture[:, : solid.x0 - 2] == 255).all(), "nothing on the other side"
    assert (picture[: solid.y0 - 2] == 255).all()


@pytest.mark.parametrize(("rot", "axis", "side"), [(0, 0, -1), (90, 1, 1), (180, 0, 1), (270, 1, -1)])
@pytest.mark.parametrize("canvas", [Size(512, 512), Size(700, 400), Size(90, 220)])
def test_rot_turns_it_on_every_canvas(tmp_path: Path, rot: float, axis: int, side: int, canvas: Size) -> None:
    model = opened(shadow_network(tmp_path / "shadow.onnx"))
    cutout = finished(model, Finish(shadow="learned", rot=rot, canvas=canvas))
    assert cutout.shadow is not None
    assert Region.of(canvas).intersect(cutout.shadow.region) == cutout.shadow.region
    rows, columns = np.nonzero(cutout.shadow.pixels[..., 3] > 30)
    place = cutout.shadow.region
    own = (rows + place.y0, columns + place.x0)
    assert side * (own[axis].mean() - (canvas.height, canvas.width)[axis] / 2) > 2
    assert abs(own[1 - axis].mean() - (canvas.height, canvas.width)[1 - axis] / 2) < 2


def test_a_colour_that_the_network_throws_comes_through_and_near_white_is_clear(tmp_path: Path) -> None:
    light = opened(mixing_network(tmp_path / "light.onnx", np.zeros((3, 6)), bias=(1, 0.8, 0.6)))
    cutout = finished(light, Finish(shadow="learned", canvas=Size(150, 150)))
    assert np.abs(on_white(cutout)[2, 2].astype(int) - np.array([255, 206, 155])).max() <= 1
    nearly = opened(mixing_network(tmp_path / "nearly.onnx", np.zeros((3, 6)), bias=(0.995, 0.991, 1.2)))
    cutout = finished(nearly, Finish(shadow="learned"))
    assert cutout.shadow is not None
    assert not cutout.shadow.pixels[..., 3].any()


def test_what_leaves_the_network_s_window_fades_out(tmp_path: Path) -> None:
    """The object is small on its canvas, and the network darkens all that it sees."""
    dark = opened(mixing_network(tmp_path / "dark.onnx", np.zeros((3, 6)), bias=(0.5, 0.5, 0.5)))
    picture = on_white(finished(dark, Finish(shadow="learned", canvas=Size(400, 600), max_scale=1))).astype(int)
    assert abs(picture[300, 150, 0] - 129) <= 1
    assert (picture[10, 10] == 255).all()
    assert np.abs(np.diff(picture[:, 150, 0])).max() <= 20, "without an edge"


def test_a_mask_without_a_solid_pixel_casts_nothing_and_says_so(tmp_path: Path) -> None:
    model = opened(shadow_network(tmp_path / "shadow.onnx"))
    alpha = np.full((30, 40), 120, np.uint8)
    crop, options = np.full((30, 40, 3), 90, np.uint8), Finish(shadow="learned")
    mask = Mask(alpha, Region(10, 10, 50, 40))
    cutout = finish(crop, mask, Size(80, 60), options, lambda picture: model.predict([picture])[0])
    assert cutout.shadow is None
    assert "casts no shadow" in cutout.warnings[0]


def test_without_a_network_it_is_refused() -> None:
    crop, mask = square()
    with pytest.raises(InvalidInput) as caught:
        finish(crop, mask, Size(300, 200), Finish(shadow="learned"))
    assert caught.value.field == "finish.shadow.kind"
    assert "start postprocess with --shadow-model" in caught.value.message


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 60), (60, 3)])
def test_tiny_objects(tmp_path: Path, center: bool, shape: tuple[int, int]) -> None:
    model = opened(shadow_network(tmp_path / "shadow.onnx"))
    mask = Mask(np.full(shape, 255, np.uint8), Region(5, 5, 5 + shape[1], 5 + shape[0]))
    options = Finish(center=center, shadow="learned", canvas=Size(64, 48))
    crop = np.full((*shape, 3), 90, np.uint8)
    cutout = finish(crop, mask, Size(80, 70), options, lambda picture: model.predict([picture])[0])
    assert cutout.shadow is not None
    assert Region.of(cutout.placement.canvas).intersect(cutout.shadow.region) == cutout.shadow.region
    assert size_of(cutout.shadow.pixels) == cutout.shadow.region.size


def wrong(path: Path, takes: Sequence[Any] = ("n", 6, SIDE, SIDE), gives: Sequence[Any] = ("n", 3, SIDE, SIDE)) -> Path:
    """A file that states these shapes."""
    return network(path, [node("Identity", ["x"], "y")], {}, [value("x", takes)], value("y", gives))


WRONG = {
    "channels": (lambda path: wrong(path, ("n", 5, SIDE, SIDE)), "takes x ['n', 5, 512, 512] tensor(float)"),
    "size": (lambda path: wrong(path, (1, 6, 256, 256)), "takes x [1, 6, 256, 256] tensor(float)"),
    "rank": (lambda path: wrong(path, (6, SIDE, SIDE), (3, SIDE, SIDE)), "takes x [6, 512, 512] tensor(float)"),
    "batch": (lambda path: wrong(path, (4, 6, SIDE, SIDE)), "takes x [4, 6, 512, 512] tensor(float)"),
    "answer": (
        lambda path: mixing_network(path, np.eye(4, 6), bias=(0, 0, 0, 0)),
        "answers y ['n', 4, 512, 512] tensor(float)",
    ),
    "answers else": (
        lambda path: network(  # what its free dimensions become shows when it runs
            path,
            [node("Conv", ["x", "w"], "y", strides=[2, 2])],
            {"w": np.ones((3, 6, 1, 1), np.float32)},
            [value("x", ("n", 6, "h", "w"))],
            value("y", ("n", 3, "p", "q")),
        ),
        "answers [1, 3, 256, 256]",
    ),
    "inputs": (
        lambda path: network(
            path,
            [node("Add", ["x", "mask"], "y")],
            {},
            [value("x", ("n", 3, SIDE, SIDE)), value("mask", ("n", 1, SIDE, SIDE))],
        ),
        "takes x ['n', 3, 512, 512] tensor(float), mask ['n', 1, 512, 512] tensor(float)",
    ),
    "type": (
        lambda path: network(
            path,
            [node("Identity", ["x"], "y")],
            {},
            [value("x", ("n", 6, SIDE, SIDE), 2)],
            value("y", ("n", 6, SIDE, SIDE), 2),
        ),
        "tensor(uint8)",
    ),
    "metadata": (
        lambda path: mixing_network(path, RGB, metadata={"input_range": "0,255"}),
        "input_range is '0,255'; it must be 0,1 or -1,1",
    ),
    "nan": (
        lambda path: mixing_network(path, RGB, bias=(float("nan"), 0, 0)),
        "answers values that are not finite",
    ),
    "text": (lambda path: path.write_text("no network") and path, "is it a whole .onnx file?"),
    "folder": (lambda path: path.mkdir() or path, "is it a whole .onnx file?"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_another_file_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    make, words = WRONG[kind]
    path = make(tmp_path / "wrong.onnx")
    with pytest.raises(InvalidInput) as caught:
        opened(path)
    said = str(caught.value)
    assert said.startswith("--shadow-model")
    assert str(path) in said
    assert words in said
    assert "\n" not in said
    if words.startswith(("takes", "answers [", "answers y")):
        assert "a shadow network takes n x 6 x 512 x 512 of FP32 or FP16, and answers n x 3 x 512 x 512" in said


@pytest.mark.parametrize("colours", ["0,255", "1,0", "nan,1", "-1;1", "one", "0"])
def test_another_range_is_refused(tmp_path: Path, colours: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        OnnxShadow(mixing_network(tmp_path / "plain.onnx", RGB), colours)
    assert str(caught.value) == f"--shadow-model-range is {colours!r}; it must be 0,1 or -1,1"

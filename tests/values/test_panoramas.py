"""The camera against closed forms, py360convert and brute force; seams, poles, shrinking and ranges."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from py360convert import e2p

from tensorhop.errors import InvalidInput
from tensorhop.values.geometry import Size
from tensorhop.values.images import decode_image
from tensorhop.values.panoramas import Camera, CameraPair, Panorama, check_panorama

COURT = Path(__file__).parents[2] / "examples" / "panoramas" / "court.jpg"


@pytest.fixture(scope="module")
def court() -> np.ndarray:
    return decode_image(COURT.read_bytes())


@pytest.fixture(scope="module")
def directions() -> np.ndarray:
    """A panorama whose colours are its rays: right, up and forward, from -1 at 0 to 1 at 255."""
    turn = (np.arange(1024) + 0.5) / 1024 * 2 * np.pi - np.pi
    height = (np.pi / 2 - (np.arange(512) + 0.5) / 512 * np.pi)[:, None]
    rays = [np.cos(height) * np.sin(turn), np.sin(height) + 0 * turn, np.cos(height) * np.cos(turn)]
    return np.rint(127.5 + 127.5 * np.stack(rays, -1)).astype(np.uint8)


def seen(panorama: np.ndarray, camera: Camera, size: Size) -> np.ndarray:
    """The rays that a view of `directions` shows."""
    return Panorama(panorama).view(camera, size) / 127.5 - 1


def plane(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels' centres are from the view's middle, to the right and up, in pixels."""
    x = np.arange(size.width) + 0.5 - size.width / 2
    return np.broadcast_to(x, size[::-1]), np.broadcast_to(
        (size.height / 2 - 0.5 - np.arange(size.height))[:, None], size[::-1]
    )


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(float) - other)


@pytest.mark.parametrize("vfov", [30, 90, 140, 170])
def test_the_pinhole_is_tangent(directions: np.ndarray, vfov: float) -> None:
    """At xi = 0, a ray at the angle a falls at (height / 2) tan a / tan(vfov / 2)."""
    size = Size(301, 200)
    x, y = plane(size)
    scale = math.tan(math.radians(vfov) / 2) / (size.height / 2)
    rays = np.stack([x * scale, y * scale, np.ones_like(x)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    assert difference(seen(directions, Camera(vfov=vfov), size), rays).max() < 0.02


@pytest.mark.parametrize("vfov", [30, 90, 140, 170])
def test_full_distortion_is_stereographic(directions: np.ndarray, vfov: float) -> None:
    """At xi = 1, f sin a / (cos a + 1) is f tan(a / 2), and f is (height / 2) / tan(vfov / 4).

    So a pixel at the radius r shows the ray at a = 2 atan(r tan(vfov / 4) / (height / 2)): the stereographic projection
    from the point of the unit sphere that lies opposite to the axis.
    """
    size = Size(301, 200)
    x, y = plane(size)
    radius, around = np.hypot(x, y), np.arctan2(y, x)
    angle = 2 * np.arctan(radius * math.tan(math.radians(vfov) / 4) / (size.height / 2))
    rays = np.stack([np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), np.cos(angle)], -1)
    assert difference(seen(directions, Camera(vfov=vfov, xi=1), size), rays).max() < 0.02


@pytest.mark.parametrize("xi", [0, 0.3, 0.7, 1])
def test_a_ray_falls_where_the_model_says(directions: np.ndarray, xi: float) -> None:
    """r = f sin a / (cos a + xi), with f such that half of the height is at vfov / 2."""
    size, camera = Size(240, 240), Camera(vfov=120, xi=xi)
    rays = seen(directions, camera, size)
    x, y = plane(size)
    across = np.hypot(rays[..., 0], rays[..., 1])
    focal = 120 * (math.cos(math.radians(60)) + xi) / math.sin(math.radians(60))
    radius = focal * across / (rays[..., 2] + xi)
    inside = np.hypot(x, y) < 120  # near 90 degrees, a pinhole's radius grows faster than 8 bits can tell
    assert difference(radius, np.hypot(x, y))[inside].max() < 0.025 * 120


def test_turns_are_yaw_then_pitch_then_roll(directions: np.ndarray) -> None:
    size = Size(301, 301)

    def middle(camera: Camera) -> list[float]:
        return [round(float(value), 1) + 0.0 for value in seen(directions, camera, size)[150, 150]]

    assert middle(Camera()) == [0, 0, 1]
    assert middle(Camera(yaw=90)) == [1, 0, 0]
    assert middle(Camera(yaw=-90)) == [-1, 0, 0]
    assert middle(Camera(pitch=90)) == [0, 1, 0]
    assert middle(Camera(yaw=90, pitch=30, roll=77)) == [0.9, 0.5, 0]
    upper = seen(directions, Camera(roll=90, vfov=90), Size(101, 101))[0, 50]
    assert upper[0] == pytest.approx(0.7, abs=0.02), "the camera turned clockwise, its top to the right"


CAMERAS = [
    Camera(10, 20, 30, 60),
    Camera(-170, -80, -130, 50),
    Camera(180, 89, 10, 70),
    Camera(95, -30, 77, 60),
    Camera(-45, 90, 0, 40),
]


@pytest.mark.parametrize("camera", CAMERAS, ids=str)
def test_a_pinhole_is_py360convert_s(court: np.ndarray, camera: Camera) -> None:
    """Its field of view ends at the middles of the outer pixels, ours at their edges."""
    side = 768  # an enlarged view, so not anti-aliased
    theirs = 2 * math.degrees(math.atan(math.tan(math.radians(camera.vfov) / 2) * (side - 1) / side))
    expected = e2p(court, theirs, camera.yaw, camera.pitch, (side, side), camera.roll)
    apart = difference(Panorama(court).view(camera, Size(side, side)), expected)
    assert apart.mean() < 0.1
    assert np.percentile(apart, 99.9) <= 2
    as_asked = e2p(court, camera.vfov, camera.yaw, camera.pitch, (side, side), camera.roll)
    assert difference(Panorama(court).view(camera, Size(side, side)), as_asked).mean() < 0.5


@pytest.mark.parametrize(("vfov", "xi", "side"), [(60, 0, 700), (140, 1, 96), (90, 0.5, 200)])
def test_the_seam_is_like_any_other_place(court: np.ndarray, vfov: float, xi: float, side: int) -> None:
    at_seam = Panorama(court).view(Camera(180, 5, 20, vfov, xi), Size(side, side))
    turned = np.roll(court, court.shape[1] // 2, axis=1)
    assert difference(at_seam, Panorama(turned).view(Camera(0, 5, 20, vfov, xi), Size(side, side))).max() <= 3


@pytest.mark.parametrize(("pitch", "turns"), [(90, -1), (-90, 1)])
@pytest.mark.parametrize(("xi", "side"), [(0, 500), (1, 80)])
def test_a_pole_is_like_any_other_place(court: np.ndarray, pitch: float, turns: int, xi: float, side: int) -> None:
    """A quarter of a turn in yaw turns the view, and changes nothing else: the pole's own pixels neither."""
    one = Panorama(court).view(Camera(0, pitch, 0, 80, xi), Size(side, side))
    quarter = Panorama(court).view(Camera(90, pitch, 0, 80, xi), Size(side, side))
    apart = difference(np.rot90(one, turns), quarter)
    assert apart.mean() < 0.3
    assert apart.max() <= 12


def averaged(pixels: np.ndarray, camera: Camera, size: Size, rays: int) -> np.ndarray:
    """A view by brute force: the mean of rays x rays for each pixel, each sampled from the panorama itself."""
    fine = Size(size.width * rays, size.height * rays)
    x, y = (np.asarray(one) / camera.focal_length(fine.height) for one in plane(fine))
    squared = x**2 + y**2
    eta = (camera.xi + np.sqrt(1 + (1 - camera.xi**2) * squared)) / (1 + squared)
    right, up, forward = camera.rotation() @ np.stack([eta * x, eta * y, eta - camera.xi]).reshape(3, -1)
    column = (np.arctan2(right, forward) / (2 * np.pi) + 0.5) * pixels.shape[1] + 0.5
    row = (0.5 - np.arcsin(np.clip(up, -1, 1)) / np.pi) * pixels.shape[0] + 0.5
    poles = np.roll(pixels[[0, -1]], pixels.shape[1] // 2, axis=1)
    wide = np.pad(np.concatenate([poles[:1], pixels, poles[1:]]), ((0, 0), (1, 1), (0, 0)), mode="wrap")
    maps = [one.reshape(fine.height, fine.width).astype(np.float32) for one in (column, row)]
    sampled = cv2.remap(wide, *maps, cv2.INTER_LINEAR)
    return sampled.reshape(size.height, rays, size.width, rays, 3).mean((1, 3))


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * math.log10(255**2 / (difference(one, other) ** 2).mean())


@pytest.mark.parametrize(
    ("camera", "least"),
    [
        (Camera(10, 0, 0, 90, 0), 40),
        (Camera(180, 30, 20, 120, 0.5), 40),
        (Camera(0, -60, 30, 140, 0), 36),
        (Camera(30, 88, 0, 100, 1), 45),
        (Camera(45, 20, 0, 150, 1), 38),
    ],
    ids=str,
)
def test_a_small_view_is_anti_aliased(court: np.ndarray, camera: Camera, least: float) -> None:
    """Five pixels of the panorama to one of the view: near to the mean of 256 rays a pixel, and nearer than one ray."""
    size = Size(96, 96)
    mean = averaged(court, camera, size, 16)
    anti_aliased = decibels(Panorama(court).view(camera, size), mean)
    assert anti_aliased >= least
    assert anti_aliased > decibels(averaged(court, camera, size, 1), mean) + 2


def test_noise_becomes_grey() -> None:
    """At the poles, too, whose rows hold as many columns as the equator."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    for pitch in (0, 90, -90):
        view = Panorama(noise).view(Camera(180, pitch, 0, 120, 0.5), Size(64, 64))
        assert view.std() < 18, "of 74 in the panorama"


@pytest.mark.parametrize(("height", "width"), [(1, 2), (1, 1), (3, 7), (150, 301), (1, 400), (400, 1)], ids="{}".format)
def test_any_size_of_panorama_and_view(height: int, width: int) -> None:
    panorama = Panorama(np.full((height, width, 3), (10, 128, 255), np.uint8))
    for size in (Size(1, 1), Size(7, 3), Size(1, 300), Size(4096, 2)):
        for camera in (Camera(-180, -90, 180, 1, 0), Camera(180, 90, -180, 170, 1), Camera(33, 5, 1, 170, 0)):
            assert (panorama.view(camera, size) == (10, 128, 255)).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"yaw": math.nan}, "camera.yaw is nan; it must be from -180 to 180 degrees"),
        ({"pitch": 90.1}, "camera.pitch is 90.1; it must be from -90 to 90 degrees"),
        ({"roll": -math.inf}, "camera.roll is -inf; it must be from -180 to 180 degrees"),
        ({"vfov": 0}, "camera.vfov is 0; it must be from 1 to 170 degrees"),
        ({"vfov": 180}, "camera.vfov is 180; it must be from 1 to 170 degrees"),
        ({"xi": 1.01}, "camera.xi is 1.01; it must be from 0 to 1"),
        ({"xi": -0.01}, "camera.xi is -0.01; it must be from 0 to 1"),
    ],
)
def test_a_camera_has_its_range(changed: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Camera(**changed).check()
    assert str(caught.value) == said
    with pytest.raises(InvalidInput) as caught:
        CameraPair(Camera(), Camera(**changed)).check()
    assert str(caught.value) == said.replace("camera.", "cameras.right.")


def test_a_panorama_is_two_to_one() -> None:
    check_panorama(Size(4096, 2048), False, "image")
    check_panorama(Size(4001, 2000), False, "image")
    check_panorama(Size(1920, 1080), True, "image")
    with pytest.raises(InvalidInput, match=r"image is 1920 x 1080 pixels, a ratio of 1\.78:1; a panorama is 2:1; set"):
        check_panorama(Size(1920, 1080), False, "image")
    with pytest.raises(InvalidInput, match="at most 32,764"):
        check_panorama(Size(32_766, 10), True, "image")

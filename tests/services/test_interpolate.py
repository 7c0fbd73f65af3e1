"""InterpolateService over a socket, and the cameras between two cameras."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.status import from_error
from tensorhop.services.interpolate.mixing import mixed
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import interpolate_pb2 as pb
from tensorhop.v1.interpolate_pb2_grpc import InterpolateServiceStub
from tensorhop.values.geometry import Size
from tensorhop.values.panoramas import Camera, CameraPair, Panorama
from tensorhop.wire.panorama_messages import write_camera

NOISE = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
LEFT, RIGHT = {"yaw": 170, "vfov": 90}, {"yaw": -170, "pitch": 30, "vfov": 60, "xi": 0.5}
PAIR = {"left": LEFT, "right": RIGHT}


@pytest.fixture(scope="module")
def stub() -> Iterator[InterpolateServiceStub]:
    with (
        one_process({"interpolate": "127.0.0.1:0"}) as running,
        grpc.insecure_channel(running["interpolate"].address) as channel,
    ):
        yield InterpolateServiceStub(channel)


def image(pixels: np.ndarray = NOISE) -> dict[str, Any]:
    return {"tensor": {"dtype": "UINT8", "shape": pixels.shape, "data": pixels.tobytes()}}


def request(**fields: Any) -> pb.InterpolateRequest:
    return pb.InterpolateRequest(
        **{"panoramas": [image()], "cameras": [PAIR], "view": {"width": 24, "height": 16}} | fields
    )


@pytest.mark.parametrize(
    ("left", "right", "share", "expected"),
    [
        (Camera(10, 20, 30, 40, 0.2), Camera(20, 40, 50, 80, 0.6), 0.25, Camera(12.5, 25, 35, 50, 0.3)),
        (Camera(yaw=170), Camera(yaw=-170), 0.25, Camera(yaw=175)),
        (Camera(yaw=170), Camera(yaw=-170), 0.75, Camera(yaw=-175)),
        (Camera(yaw=-170), Camera(yaw=170), 0.75, Camera(yaw=175)),
        (Camera(roll=-120), Camera(roll=120), 0.25, Camera(roll=-150)),
        (Camera(pitch=-90), Camera(pitch=90), 0.5, Camera(pitch=0)),
        (Camera(yaw=0), Camera(yaw=180), 0.5, Camera(yaw=-90)),
        (Camera(yaw=180), Camera(yaw=-180), 0.5, Camera(yaw=-180)),
    ],
)
def test_angles_go_the_short_way_round(left: Camera, right: Camera, share: float, expected: Camera) -> None:
    found = mixed(CameraPair(left, right), share)
    assert vars(found) == pytest.approx(vars(expected))
    found.check()


def test_nine_views_between_left_and_right(stub: InterpolateServiceStub) -> None:
    answers = list(stub.Interpolate(request()))
    assert [(one.weight_idx, one.panorama) for one in answers] == [(number, 0) for number in range(1, 10)]
    panorama = Panorama(NOISE)
    for one in answers:
        camera = mixed(CameraPair(Camera(**LEFT), Camera(**RIGHT)), one.weight_idx / 10)
        assert one.camera == write_camera(camera)
        view = np.frombuffer(one.view.data, np.uint8).reshape(16, 24, 3)
        assert np.array_equal(view, panorama.view(camera, Size(24, 16)))
    assert answers[4].camera.yaw == -180


def test_two_panoramas_have_both_rows(stub: InterpolateServiceStub) -> None:
    two = request(panoramas=[image(), image(NOISE[::-1])], cameras=[PAIR, {"left": RIGHT, "right": LEFT}], views=2)
    answers = list(stub.Interpolate(two))
    assert [(one.weight_idx, one.panorama) for one in answers] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert answers[0].camera.pitch == pytest.approx(answers[3].camera.pitch)
    assert len({one.view.data for one in answers}) == 4


def test_a_bad_panorama_and_a_bad_camera_fail_alone(stub: InterpolateServiceStub) -> None:
    for fields, field in (
        ({"panoramas": [image(), {"encoded": b"no image"}], "cameras": [PAIR, PAIR]}, "panoramas[1].encoded"),
        (
            {"panoramas": [image()] * 2, "cameras": [PAIR, {"left": {"vfov": 171}, "right": RIGHT}]},
            "cameras[1].left.vfov",
        ),
    ):
        good, bad = stub.Interpolate(request(**fields, views=1))
        assert good.HasField("view")
        assert (bad.panorama, bad.weight_idx, bad.fault.field) == (1, 1, field)
        assert bad.fault.service == "interpolate"


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"views": 0}, "views", "is 0; it must be from 1 to 100"),
        ({"views": -1}, "views", "is -1; it must be from 1 to 100"),
        ({"views": 10_000}, "views", "is 10,000; it must be from 1 to 100"),
        ({"panoramas": []}, "panoramas", "has 0 entries; it must have from 1 to 2"),
        ({"panoramas": [image(NOISE[:, :100])]}, "panoramas[0]", "a ratio of 1.56:1; a panorama is 2:1"),
        ({"cameras": []}, "cameras", "has 0 entries; one for each panorama is needed, 1"),
        ({"cameras": [{"right": RIGHT}]}, "cameras[0].left", "is missing; give both cameras"),
        (
            {"cameras": [{"left": LEFT, "right": {"vfov": 90, "xi": 2}}]},
            "cameras[0].right.xi",
            "is 2; it must be from 0 to 1",
        ),
        ({"view": {"width": 5000, "height": 16}}, "view.width", "is 5000; it must be from 1 to 4,096 pixels"),
    ],
)
def test_what_is_refused(stub: InterpolateServiceStub, fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Interpolate(request(**fields)))
    fault = from_error(caught.value).fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, field)
    assert says in fault.message

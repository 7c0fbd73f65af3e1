"""PreprocessService over a socket, and the cameras that it draws."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tensorhop.orchestrator.launch.in_process import one_process
from tensorhop.rpc.server import Server
from tensorhop.rpc.status import from_error
from tensorhop.services.preprocess import servicer
from tensorhop.services.preprocess.draw import draw
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import preprocess_pb2 as pb
from tensorhop.v1.preprocess_pb2_grpc import PreprocessServiceStub
from tensorhop.values.geometry import Size
from tensorhop.values.images import decode_image
from tensorhop.values.panoramas import Panorama
from tensorhop.wire.codec import Packet
from tensorhop.wire.panorama_messages import write_camera_pair
from tensorhop.wire.payloads import Payloads
from tensorhop.wire.shared_memory import SUPPORTED, Pool

COURT = Path(__file__).parents[2] / "examples" / "panoramas" / "court.jpg"
NAN = float("nan")
SMALL = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
CAMERA = {"vfov": 90}
PAIR = {"left": CAMERA, "right": {"vfov": 60, "yaw": 20}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with one_process({"preprocess": "127.0.0.1:0"}) as running:
        yield running["preprocess"]


@pytest.fixture(scope="module")
def stub(server: Server) -> Iterator[PreprocessServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield PreprocessServiceStub(channel)


def image(pixels: np.ndarray = SMALL) -> dict[str, Any]:
    return {"tensor": {"dtype": "UINT8", "shape": pixels.shape, "data": pixels.tobytes()}}


def request(**fields: Any) -> pb.PreprocessRequest:
    return pb.PreprocessRequest(**{"panoramas": [image()], "view": {"width": 16, "height": 16}} | fields)


def test_the_pairs_of_a_file_are_its_views_side_by_side(stub: PreprocessServiceStub) -> None:
    sent = pb.PreprocessRequest(panoramas=[{"encoded": COURT.read_bytes()}], seed=5)
    answers = list(stub.Preprocess(sent))
    assert [(one.interval, one.panorama) for one in answers] == [(number, 0) for number in range(1, 9)]
    assert {tuple(one.pair.shape) for one in answers} == {(512, 1024, 3)}
    expected, panorama = draw(5), Panorama(decode_image(COURT.read_bytes()))
    for one in answers[::4]:
        (cameras,) = expected[one.interval]
        assert one.cameras == write_camera_pair(cameras)
        views = [panorama.view(camera, Size(512, 512)) for camera in cameras]
        assert np.array_equal(np.frombuffer(one.pair.data, np.uint8).reshape(512, 1024, 3), np.hstack(views))


def test_cameras_are_as_they_were_once() -> None:
    """The numbers of a seed are part of the contract."""
    first, second = draw(7, 2)[1]
    assert astuple(first.right) == pytest.approx(
        (-151.870704003, 71.498484175, 49.623424244, 54.772790899, 0.300166285)
    )
    assert astuple(first.left) == pytest.approx((-151.870704003, 90, 57.821115309, 30, 0.797069429))
    assert astuple(second.left) == pytest.approx((-151.870704003, 88.717398114, 49.942412382, 30, 0.699017264))
    assert draw(7, 2)[8][1].left.yaw == pytest.approx(174.429846365)


def test_cameras_are_within_their_ranges() -> None:
    yaws = []
    for seed in range(200):
        for interval, (first, second) in draw(seed, 2).items():
            for pair in (first, second):
                pair.check()
                for camera in pair:
                    assert -180 + 45 * (interval - 1) <= camera.yaw <= -180 + 45 * interval
                    assert -90 <= camera.roll <= 90
                    assert 30 <= camera.vfov <= 140
            assert first.left.yaw == first.right.yaw == second.left.yaw
            assert second.right == first.right
            assert abs(first.left.pitch - first.right.pitch) <= 40
            assert abs(first.left.vfov - first.right.vfov) <= 40
            assert max(abs(getattr(first.left, n) - getattr(second.left, n)) for n in ("pitch", "roll", "vfov")) <= 20
            assert abs(first.left.xi - second.left.xi) <= 0.2
            yaws.append(first.left.yaw)
    assert np.histogram(yaws, 8, (-180, 180))[0].tolist() == [200] * 8


def test_a_seed_repeats_and_its_absence_does_not(stub: PreprocessServiceStub) -> None:
    def cameras(**fields: Any) -> list[Any]:
        return [one.cameras for one in stub.Preprocess(request(**fields))]

    assert cameras(seed=2**64 - 1) == cameras(seed=2**64 - 1)
    assert cameras(seed=0) != cameras(seed=1)
    assert cameras() != cameras()
    assert cameras(seed=3, intervals=[7, 2]) == [cameras(seed=3)[6], cameras(seed=3)[1]]
    two = cameras(seed=3, panoramas=[image(), image()])
    assert two[::2] == cameras(seed=3), "a second panorama does not change the first one's"
    assert [one.right for one in two[::2]] == [one.right for one in two[1::2]]


def test_given_cameras(stub: PreprocessServiceStub) -> None:
    given = [{"interval": 4, "cameras": [PAIR]}, {"interval": 1, "cameras": [PAIR]}]
    answers = list(stub.Preprocess(request(cameras=given, view={"width": 20, "height": 10})))
    assert [one.interval for one in answers] == [4, 1]
    assert all(one.cameras == pb.PreprocessResponse(cameras=PAIR).cameras for one in answers)
    assert list(answers[0].pair.shape) == [10, 40, 3]


def test_a_bad_panorama_fails_alone(stub: PreprocessServiceStub) -> None:
    answers = list(stub.Preprocess(request(panoramas=[{"encoded": b"no image"}, image()], intervals=[1, 2])))
    assert [(one.interval, one.panorama, one.WhichOneof("outcome")) for one in answers] == [
        *((1, 0, "fault"), (1, 1, "pair"), (2, 0, "fault"), (2, 1, "pair"))
    ]
    fault = answers[0].fault
    assert (fault.service, fault.field, fault.code) == (
        *("preprocess", "panoramas[0].encoded", fault_pb2.CODE_INVALID_ARGUMENT),
    )


def test_a_bad_camera_fails_alone(stub: PreprocessServiceStub) -> None:
    bad = {"left": CAMERA, "right": {"vfov": 90, "pitch": NAN}}
    given = [{"interval": 1, "cameras": [PAIR]}, {"interval": 2, "cameras": [bad]}]
    good, failed = stub.Preprocess(request(cameras=given))
    assert good.HasField("pair")
    assert failed.fault.field == "cameras[1].cameras[0].right.pitch"
    assert failed.fault.message.endswith("is nan; it must be from -90 to 90 degrees")


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"panoramas": []}, "panoramas", "has 0 entries; it must have from 1 to 2"),
        ({"panoramas": [image()] * 3}, "panoramas", "has 3 entries; it must have from 1 to 2"),
        ({"panoramas": [image(SMALL[:, :40])]}, "panoramas[0]", "40 x 32 pixels, a ratio of 1.25:1; a panorama is 2:1"),
        ({"panoramas": [{"path": "a.jpg"}]}, "panoramas[0].path", "paths are off"),
        ({"intervals": [0]}, "intervals[0]", "is 0; it must be from 1 to 8"),
        ({"intervals": [3, 9]}, "intervals[1]", "is 9; it must be from 1 to 8"),
        ({"intervals": [3, 3]}, "intervals[1]", "is 3 again"),
        ({"cameras": [{"interval": 9, "cameras": [PAIR]}]}, "cameras[0].interval", "from 1 to 8"),
        ({"cameras": [{"interval": 1, "cameras": [PAIR]}], "intervals": [1]}, "intervals", "beside cameras"),
        ({"cameras": [{"interval": 1, "cameras": [PAIR] * 2}]}, "cameras[0].cameras", "has 2 entries"),
        ({"cameras": [{"interval": 1, "cameras": [{"left": CAMERA}]}]}, "cameras[0].cameras[0].right", "is missing"),
        ({"view": {"width": 0, "height": 16}}, "view.width", "is 0; it must be from 1 to 4,096 pixels"),
        ({"view": {"width": 16, "height": 4097}}, "view.height", "from 1 to 4,096 pixels"),
    ],
)
def test_what_is_refused(stub: PreprocessServiceStub, fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Preprocess(request(**fields)))
    fault = from_error(caught.value).fault
    assert (fault.code, fault.field) == (fault_pb2.CODE_INVALID_ARGUMENT, field)
    assert says in fault.message


def test_any_ratio(stub: PreprocessServiceStub) -> None:
    answers = stub.Preprocess(request(panoramas=[image(SMALL[:, :40])], any_ratio=True, intervals=[1]))
    assert next(answers).HasField("pair")


def test_pairs_are_within_the_limit_of_pixels(stub: PreprocessServiceStub, limit: Callable[..., None]) -> None:
    limit(max_pixels=10_000)
    with pytest.raises(grpc.RpcError, match=r"view is 200 x 100 = 20,000 pixels; at most 10,000 are allowed"):
        list(stub.Preprocess(request(view={"width": 100, "height": 100})))


def test_a_path_under_the_allowed_folder(stub: PreprocessServiceStub, limit: Callable[..., None]) -> None:
    limit(allow_path=str(COURT.parent))
    assert next(stub.Preprocess(request(panoramas=[{"path": COURT.name}], intervals=[1]))).HasField("pair")


@pytest.mark.skipif(not SUPPORTED, reason="no shared memory here")
def test_large_pairs_go_by_lent_slots(stub: PreprocessServiceStub) -> None:
    pool = Pool.of()
    slot = pool.take(300_000)
    assert slot is not None
    asked: dict[str, Any] = {"view": {"width": 200, "height": 200}, "seed": 1, "intervals": [1, 2]}
    lent = list(stub.Preprocess(request(**asked, lent=[slot.part(0, slot.size)])))
    inline = list(stub.Preprocess(request(**asked)))
    assert lent[0].pair.HasField("shared_memory")
    part = lent[0].pair.shared_memory
    assert bytes(slot.memory[part.offset : part.offset + part.size]) == inline[0].pair.data
    pool.close()


def test_a_slot_that_is_not_there_is_refused_as_a_whole(stub: PreprocessServiceStub) -> None:
    """So the caller sends the bytes inline: no pair is tried before."""
    part = {"name": f"tensorhop-{0:032x}", "size": SMALL.nbytes}
    gone = {"tensor": {"dtype": "UINT8", "shape": SMALL.shape, "shared_memory": part}}
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Preprocess(request(panoramas=[image(), gone])))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_a_pair_is_cropped_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made, crop = [], servicer.crop_pair

    def counted(*arguments: Any) -> np.ndarray:
        made.append(1)
        return crop(*arguments)

    class Context:
        def add_callback(self, callback: Callable[[], None]) -> bool:
            return True

    monkeypatch.setattr(servicer, "crop_pair", counted)
    answers: Any = servicer.PreprocessServicer().Preprocess(Packet(request(), Payloads.inside()), Context())  # type: ignore[arg-type]
    for number in (1, 2, 3):
        assert next(answers).message.interval == number
        assert len(made) == number


def test_a_caller_that_leaves_ends_the_work(stub: PreprocessServiceStub, monkeypatch: pytest.MonkeyPatch) -> None:
    made, crop = [], servicer.crop_pair
    first = threading.Event()

    def slow(*arguments: Any) -> np.ndarray:
        made.append(1)
        first.set()
        time.sleep(0.2)
        return crop(*arguments)

    monkeypatch.setattr(servicer, "crop_pair", slow)
    call = stub.Preprocess(request())
    assert first.wait(10)
    call.cancel()
    time.sleep(1)
    assert len(made) <= 2

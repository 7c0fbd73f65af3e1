"""The routes to single services: every way in gives the same in every way out, and one bad item fails no other."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_views import Fake, Script
from http_caller import FORM, call, events_of, form, post, raw
from service_pictures import JSON, WAYS_IN, WAYS_OUT, as_described, encoded, in_base64, pixels_of, receive
from waiting import wait_for

from tensorhop.errors import ServiceFault
from tensorhop.rpc.registry import services
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.v1 import fault_pb2
from tensorhop.values.images import decode_image
from tensorhop.web.serve import HttpServer
from tensorhop.web.services.work import CALL_IMAGES

CAMERAS = [{"left": {"yaw": -20, "vfov": 90}, "right": {"yaw": 30, "pitch": 10, "vfov": 60, "xi": 0.5}}]
FIELDS = {
    "/upscale": {"scale": 2},
    "/preprocess": {"seed": 1, "intervals": 5, "size": "20x16"},
}


@pytest.fixture(scope="module")
def panorama() -> np.ndarray:
    """uint8, 32 x 64 x 3."""
    rows, columns = np.mgrid[:32, :64]
    return np.stack([rows * 8, columns * 4, (rows + columns) * 2], axis=-1).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path, limit: Callable[..., None], panorama: np.ndarray) -> tuple[Path, Path]:
    """The folders for reading and for writing; `in.png` in the first is the panorama."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "in.png").write_bytes(encoded(panorama))
    limit(allow_path=str(tmp_path / "in"), allow_write=str(tmp_path / "out"))
    return tmp_path / "in", tmp_path / "out"


Folders = tuple[Path, Path]


@pytest.mark.parametrize("route", ["/upscale", "/preprocess"])
def test_every_way_in_gives_the_same_every_way_out(
    http: str, folders: Folders, panorama: np.ndarray, route: str
) -> None:
    found = {
        (way_in, way_out): receive(
            http, route, way_in, way_out, folders[1], pixels=panorama, name="in.png", fields=FIELDS[route]
        )
        for way_in in WAYS_IN
        for way_out in WAYS_OUT
    }
    first = found["path", "json"]
    assert first.shape == ((64, 128, 3) if route == "/upscale" else (16, 40, 3))
    for ways, pixels in found.items():
        np.testing.assert_array_equal(pixels, first, err_msg=str(ways))


def test_lossy_formats_are_what_was_asked_for(http: str, panorama: np.ndarray) -> None:
    upload = {"image": encoded(panorama)}
    for encoding, start in (("webp", b"RIFF"), ("jpeg", b"\xff\xd8")):
        answer = post(http, {"quality": 30}, f"image/{encoding}", path="/upscale", image=None, files=upload)
        assert answer.headers["content-type"] == f"image/{encoding}"
        assert answer.body.startswith(start)
    png = post(http, {"quality": 30}, "image/png", path="/upscale", image=None, files=upload)
    assert (png.status, png.json["parameter"]) == (400, "quality")


def test_interpolated_views_with_a_second_panorama(http: str, folders: Folders, panorama: np.ndarray) -> None:
    images = [{"path": "in.png"}, {"encoded": in_base64(encoded(panorama))}]
    wanted = {"panoramas": images, "views": 2, "size": "20x16", "cameras": CAMERAS * 2}
    answer = call(http, "POST", "/interpolate", json.dumps(wanted), JSON)
    as_described(answer, "/interpolate")
    assert [(one["weight_idx"], one["panorama"]) for one in answer.json["results"]] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert answer.json["results"][0]["camera"]["vfov"] == pytest.approx(80)
    first, second, *_ = map(pixels_of, answer.json["results"])
    np.testing.assert_array_equal(first, second)
    files = call(http, "POST", "/interpolate", json.dumps(wanted | {"output_dir": "."}), JSON).json["results"]
    assert [one["path"] for one in files] == [f"{stem}-view-0{weight}.png" for weight in (1, 2) for stem in ("in", "1")]


def test_quality_of_a_list_with_a_broken_image(http: str, folders: Folders, panorama: np.ndarray) -> None:
    (folders[0] / "broken.png").write_bytes(b"no picture")
    images = [{"path": "in.png"}, {"path": "broken.png"}, {"encoded": in_base64(b"nor this")}, {"path": "in.png"}]
    answer = call(http, "POST", "/quality", json.dumps({"images": images}), JSON)
    as_described(answer, "/quality")
    assert [one["index"] for one in answer.json["results"]] == [0, 3]
    assert 0 <= answer.json["results"][0]["score"] <= 1
    assert [(one["index"], one["code"], one["field"]) for one in answer.json["faults"]] == [
        (1, "INVALID_ARGUMENT", "images[1].path"),
        (2, "INVALID_ARGUMENT", "images[2].encoded"),
    ]
    assert answer.json["faults"][0]["message"].startswith("images[1].path ")
    assert answer.json["summary"]["model"]["name"] == "embedded"
    pair = post(http, {"path": "in.png", "pairs": "true"}, "text/event-stream", path="/quality", image=None)
    (_, row), (last, _) = events_of(pair.body)
    assert {"left", "right", "match"} <= row["scores"].keys()
    assert last == "summary"


def test_a_list_of_several_calls_keeps_its_indices(http: str, folders: Folders) -> None:
    paths = ["in.png"] * (CALL_IMAGES + 4)
    paths[CALL_IMAGES + 2] = "gone.png"
    (folders[0] / "broken.png").write_bytes(b"no picture")
    paths[CALL_IMAGES + 3] = "broken.png"
    answer = call(http, "POST", "/quality", json.dumps({"path": paths}), JSON).json
    assert [one["index"] for one in answer["results"]] == [*range(CALL_IMAGES + 2)]
    told = [(one["index"], one["field"]) for one in answer["faults"]]
    assert told == [(index, f"images[{index}].path") for index in (CALL_IMAGES + 2, CALL_IMAGES + 3)]


def test_one_broken_panorama_of_two(http: str, folders: Folders) -> None:
    wanted = {"path": ["in.png", "gone.png"], "intervals": [1, 2], "size": "20x16"}
    answer = call(http, "POST", "/preprocess", json.dumps(wanted), JSON)
    as_described(answer, "/preprocess")
    assert [(one["interval"], one["panorama"]) for one in answer.json["results"]] == [(1, 0), (2, 0)]
    assert {(one["panorama"], one["field"]) for one in answer.json["faults"]} == {(1, "panoramas[1].path")}


def test_views_come_as_events_as_json_and_as_files(http: str, folders: Folders) -> None:
    fields = {"path": "in.png", "seed": 1, "intervals": 3, "size": "20x16", "views": 1, "min_score": 0}
    fields |= {"descriptions": '{"3": "a plane"}'}
    answer = post(http, fields, path="/views", image=None)
    as_described(answer, "/views")
    pair, views = answer.json["pairs"][0], answer.json["views"]
    assert pixels_of(pair).shape == (16, 40, 3)
    assert [(one["scale"], pixels_of(one).shape) for one in views] == [(1, (16, 20, 3)), (2, (32, 40, 3))]
    assert answer.json["descriptions"][0]["text"] == "a plane"
    names = ["in-3-pair-1.png", "in-3-view-1-01-x2.png", "in-3-view-1-01.png"]
    events = events_of(post(http, fields | {"output_dir": "v"}, "text/event-stream", path="/views", image=None).body)
    assert [name for name, _ in events] == ["pair", "decision", "description", "view", "view", "summary"]
    assert sorted(path.name for path in (folders[1] / "v").iterdir()) == names
    assert sorted(row["path"] for _, row in events if "path" in row) == [f"v/{name}" for name in names]
    again = post(http, fields | {"output_dir": "v"}, path="/views", image=None).json
    assert [one["code"] for one in again["faults"]] == ["ALREADY_EXISTS"] * 3
    archive = zipfile.ZipFile(io.BytesIO(post(http, fields, "application/zip", path="/views", image=None).body))
    assert sorted(archive.namelist()) == [*names, "summary.json"]
    written = (folders[1] / "v" / names[0]).read_bytes()
    np.testing.assert_array_equal(decode_image(archive.read(names[0])), decode_image(written))


@pytest.mark.parametrize(
    ("route", "members", "field"),
    [
        ("/upscale", {"scale": 3}, "scale"),
        ("/upscale", {"scale": "2"}, "scale"),
        ("/upscale", {"align": "wave"}, "align"),
        ("/upscale", {"seed": -1}, "seed"),
        ("/upscale", {"upscail": 2}, "upscail"),
        ("/upscale", {"path": []}, "images"),
        ("/upscale", {"path": [3]}, "path"),
        ("/upscale", {"images": {"path": "in.png"}}, "images"),
        ("/upscale", {"images": ["in.png"]}, "images[0]"),
        ("/upscale", {"images": [{"path": "in.png", "encoded": ""}]}, "images[0]"),
        ("/quality", {"format": "png"}, "format"),
        ("/preprocess", {"path": ["in.png"] * 3}, "panoramas"),
        ("/preprocess", {"path": "gone.png"}, "panoramas[0].path"),
        ("/preprocess", {"intervals": [9]}, "intervals[0]"),
        ("/preprocess", {"size": "5000x5000"}, "view.width"),
        ("/preprocess", {"cameras": [{"interval": 1, "cameras": [{"left": {}}]}]}, "cameras"),
        ("/interpolate", {"cameras": CAMERAS, "views": 0}, "views"),
        ("/interpolate", {"cameras": CAMERAS, "views": 10_000}, "views"),
        ("/interpolate", {"cameras": [{"left": {"pitch": 91}, "right": {}}]}, "cameras[0].left.pitch"),
        ("/interpolate", {"cameras": [{"left": {"pitch": "NaN"}, "right": {}}]}, "cameras"),
        ("/interpolate", {"cameras": [{"left": {"pitch": float("nan")}, "right": {}}]}, "request"),
        ("/interpolate", {}, "cameras"),
        ("/views", {"min_score": 2}, "min_score"),
        ("/views", {"scale": 3}, "scale"),
        ("/views", {"descriptions": {"x": "y"}}, "descriptions"),
    ],
)
def test_what_is_not_allowed_is_named(
    http: str, folders: Folders, route: str, members: dict[str, Any], field: str
) -> None:
    given = members if {"path", "images"} & members.keys() else {"path": "in.png", **members}
    answer = call(http, "POST", route, json.dumps(given), JSON)
    assert (answer.status, answer.json["field"]) == (400, field), answer.json


def test_infinite_cameras_are_refused_by_the_service(http: str, folders: Folders) -> None:
    body = json.dumps({"path": "in.png", "cameras": CAMERAS}).replace("-20", "1e999")
    assert call(http, "POST", "/interpolate", body, JSON).json["field"] == "cameras[0].left.yaw"


def test_a_picture_that_is_no_panorama(http: str, folders: Folders, panorama: np.ndarray) -> None:
    (folders[0] / "half.png").write_bytes(encoded(panorama[:, :40]))
    fields = {"path": "half.png", "intervals": 1, "size": "20x16"}
    for route in ("/preprocess", "/views"):
        refused = post(http, fields, path=route, image=None)
        assert (refused.status, refused.json["field"]) == (400, "panoramas[0]")
        assert "40 x 32" in refused.json["detail"]
    assert post(http, fields | {"any_ratio": "true"}, path="/preprocess", image=None).status == 200


def test_a_result_of_over_100_megapixels_fails_its_item_alone(
    http: str, folders: Folders, limit: Callable[..., None]
) -> None:
    limit(allow_path=str(folders[0]), max_pixels=64 * 128)  # of the services too: they run in this process
    (folders[0] / "large.png").write_bytes(encoded(np.zeros((40, 64, 3), np.uint8)))
    told = post(http, {"path": ["large.png", "in.png"]}, path="/upscale", image=None).json
    assert [one["index"] for one in told["results"]] == [1]
    assert "would have 10,240, and at most 8,192" in told["faults"][0]["message"]
    alone = post(http, {"path": "large.png"}, "image/png", path="/upscale", image=None)
    assert (alone.status, alone.json["field"]) == (400, "images[0]")


def test_an_answer_holds_so_many_bytes_of_pictures(http: str, folders: Folders, limit: Callable[..., None]) -> None:
    limit(allow_path=str(folders[0]), allow_write=str(folders[1]), max_message_bytes=4 * 1024 * 1024)
    fields = {"path": "in.png", "intervals": "1,2", "size": "1024x1024", "format": "tensor"}
    told = post(http, fields, path="/preprocess", image=None)
    assert [one["code"] for one in told.json["faults"]] == ["RESOURCE_EXHAUSTED"] * 2
    assert "output_dir" in told.json["faults"][0]["message"]
    files = post(http, {**fields, "format": "png", "output_dir": "."}, path="/preprocess", image=None)
    assert len(files.json["results"]) == 2


@pytest.mark.parametrize(
    ("route", "fields", "accept"),
    [
        ("/quality", {}, "image/png"),
        ("/quality", {}, "application/zip"),
        ("/upscale", {"format": "png"}, "image/webp"),
        ("/upscale", {"format": "tensor"}, "application/zip"),
        ("/upscale", {"output_dir": "."}, "image/png"),
        ("/upscale", {"path": ["in.png", "in.png"]}, "image/png"),
        ("/preprocess", {}, "application/octet-stream"),
        ("/views", {}, "image/png"),
    ],
)
def test_an_answer_that_cannot_be_is_406(
    http: str, folders: Folders, route: str, fields: dict[str, Any], accept: str
) -> None:
    answer = post(http, {"path": "in.png", **fields}, accept, path=route, image=None)
    assert (answer.status, "application/json" in answer.json["detail"]) == (406, True)


def test_a_service_that_is_not_there_is_503_and_says_so() -> None:
    server = HttpServer("127.0.0.1:0", "127.0.0.1:9", services={"upscale": "127.0.0.1:9", "views": "127.0.0.1:9"})
    try:
        for route, noun in (("/upscale", "image"), ("/views", "panorama")):
            answer = post(server.address, path=route, image=None, files={noun: b"x"})
            assert (answer.status, answer.json["retryable"]) == (503, True)
            assert answer.json["detail"].startswith("nothing answers at 127.0.0.1:9")
    finally:
        server.stop(1).wait()


class FailsLater:
    """An upscaler whose calls fail after the first one."""

    def __init__(self) -> None:
        self.asked = 0
        self.fake = Fake("upscale", Script())
        self.fake.script.pause.set()
        self.model = self.fake.model

    def Upscale(self, packet: Any, context: Any) -> Iterator[Any]:
        self.asked += 1
        if self.asked > 1:
            raise ServiceFault(fault_pb2.Fault(code=fault_pb2.CODE_UNAVAILABLE, service="upscale", message="has gone"))
        return self.fake.Upscale(packet, context)


@pytest.fixture
def in_front_of() -> Iterator[Callable[..., str]]:
    """The address of an HTTP server, made with more arguments, in front of an upscaler."""
    stops: list[Callable[[], object]] = []

    def start(servicer: object, **more: Any) -> str:
        service = Server(services()["upscale"], servicer, "127.0.0.1:0")
        front = HttpServer("127.0.0.1:0", "127.0.0.1:9", services={"upscale": service.address}, **more)
        stops.extend([lambda: front.stop(1).wait(), lambda: service.stop(0).wait()])
        return front.address

    yield start
    for stop in stops:
        stop()


def test_a_call_that_fails_later_loses_no_result(in_front_of: Callable[..., str], panorama: np.ndarray) -> None:
    images = [{"encoded": in_base64(encoded(panorama))}] * (CALL_IMAGES + 2)
    told = call(in_front_of(FailsLater()), "POST", "/upscale?scale=2", json.dumps({"images": images}), JSON).json
    assert len(told["results"]) == CALL_IMAGES
    assert [(one["index"], one["code"]) for one in told["faults"]] == [
        (CALL_IMAGES, "UNAVAILABLE"),
        (CALL_IMAGES + 1, "UNAVAILABLE"),
    ]


def upload_to(address: str, pixels: np.ndarray) -> Any:
    """A connection on which a request to upscale was sent."""
    body = form({}, image=encoded(pixels))
    head = f"POST /upscale HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n"
    opened = raw(address)
    opened.sendall(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + body)
    return opened


def test_all_routes_share_the_places(in_front_of: Callable[..., str], panorama: np.ndarray) -> None:
    script = Script()  # upscale waits
    address = in_front_of(Fake("upscale", script), settings=Settings(max_requests=1))
    with upload_to(address, panorama):
        wait_for(lambda: script.under_way == 1)
        for route in ("/upscale", "/quality", "/views", "/process", "/evaluate_pairs"):
            refused = post(address, path=route)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.json["detail"] == "1 requests are being worked on already"


def test_all_routes_want_the_token_and_the_origin(in_front_of: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    address = in_front_of(Fake("upscale", Script()), security=Security(token_file=str(tmp_path / "tokens")))
    for route in ("/upscale", "/quality", "/preprocess", "/interpolate", "/views", "/evaluate_pairs"):
        assert post(address, path=route).status == 401
        with_token = {"Authorization": "Bearer secret", "Origin": "https://evil.example"}
        assert post(address, path=route, headers=with_token).status == 403


def test_a_client_that_leaves_ends_the_work(in_front_of: Callable[..., str], panorama: np.ndarray) -> None:
    script = Script()  # upscale waits
    address = in_front_of(Fake("upscale", script))
    with upload_to(address, panorama):
        wait_for(lambda: script.under_way == 1)
    wait_for(lambda: script.under_way == 0)

"""POST /process in front of the real pipeline: every way in gives what the Python client gets, in every way out."""

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from fake_pipeline import serving
from http_caller import CAT, QUICK, call, events_of, oval, post
from PIL import Image

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.values.finish_options import Finish
from tensorhop.values.geometry import Size
from tensorhop.values.images import decode_image, decode_mask
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult

RAW = {"Content-Type": "application/octet-stream"}
MASKS = [oval(), oval(middle=(250, 120))]
FINISH = Finish(canvas=Size(64, 48), shadow="none")


def direct(client: PipelineClient, encoding: str, masks: list[bytes], **more: object) -> list[ObjectResult]:
    """What the Python client gets for the same request, by rank."""
    arrays = [decode_mask(mask) for mask in masks]
    events = client.process(CAT, masks=arrays, finish=FINISH, output=Output(encoding), **more)
    results = [event for event in events if isinstance(event, ObjectResult)]
    return sorted(results, key=lambda one: one.detection.index)


@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_one_picture_is_the_best_objects(http: str, client: PipelineClient, encoding: str) -> None:
    answer = post(http, QUICK, f"image/{encoding}", masks=MASKS)
    assert (answer.status, answer.headers["content-type"]) == (200, f"image/{encoding}")
    assert answer.body == direct(client, encoding, MASKS)[0].file


def test_json_has_all_of_them(http: str, client: PipelineClient) -> None:
    answer = post(http, {**QUICK, "phrases": ["left", "right"], "request_id": "mine"}, masks=MASKS)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json
    assert [base64.b64decode(one["picture"]["data"]) for one in told["objects"]] == [
        one.file for one in direct(client, "png", MASKS)
    ]
    assert [one["label"] for one in told["objects"]] == ["left", "right"]
    assert (told["request_id"], told["faults"], told["summary"]["objects"]) == ("mine", [], 2)
    assert told["objects"][0]["placement"]["canvas"] == [64, 48]
    assert {one["picture"]["content_type"] for one in told["objects"]} == {"image/png"}


def test_zip_has_all_of_them_and_a_summary(http: str, client: PipelineClient) -> None:
    answer = post(http, {**QUICK, "format": "jpeg"}, "application/zip", masks=MASKS)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as entries:
        assert entries.namelist() == ["0.jpg", "1.jpg", "summary.json"]
        assert [entries.read(name) for name in entries.namelist()[:2]] == [
            one.file for one in direct(client, "jpeg", MASKS)
        ]
        assert [one["file"] for one in json.loads(entries.read("summary.json"))["objects"]] == ["0.jpg", "1.jpg"]


def test_events_come_one_by_one(http: str, client: PipelineClient) -> None:
    answer = post(http, QUICK, "text/event-stream", masks=MASKS)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.body)
    assert [name for name, _ in events] == ["detections", "object", "object", "summary"]
    pictures = {data["index"]: base64.b64decode(data["picture"]["data"]) for name, data in events if name == "object"}
    assert [pictures[0], pictures[1]] == [one.file for one in direct(client, "png", MASKS)]
    assert {data["request_id"] for _, data in events} == {answer.headers["x-request-id"]}


def test_pixels_out(http: str, client: PipelineClient) -> None:
    answer = post(http, QUICK, "application/octet-stream", masks=MASKS[:1])
    result = direct(client, "tensor", MASKS[:1])[0]
    assert (answer.headers["content-type"], answer.headers["tensor-dtype"]) == ("application/octet-stream", "UINT8")
    shape = [int(size) for size in answer.headers["tensor-shape"].split(",")]
    np.testing.assert_array_equal(np.frombuffer(answer.body, np.uint8).reshape(shape), result.picture.pixels)
    assert answer.headers["tensor-region"] == ",".join(map(str, result.picture.region))
    assert answer.headers["tensor-canvas"] == "64x48"


def test_pixels_in(cat: np.ndarray) -> None:
    headers = {**RAW, "Tensor-Dtype": "UINT8", "Tensor-Shape": "300,451,3"}
    with serving() as (fake, address, _):
        answer = call(address, "POST", "/process?boxes=20,10,440,300&rot=120&phrases=cat", cat.tobytes(), headers)
        assert answer.status == 200, answer.body
        np.testing.assert_array_equal(fake.photos[0], cat)
        request = fake.requests[0]
        assert (request.boxes[0].x1, request.finish.shadow.rot, request.phrases) == (440, 120, ["cat"])


def test_json_in_as_a_file_and_as_a_tensor(http: str, client: PipelineClient, cat: np.ndarray) -> None:
    mask = {"encoded": base64.b64encode(MASKS[0]).decode()}
    as_file = {"encoded": base64.b64encode(CAT).decode()}
    as_tensor = {"dtype": "UINT8", "shape": [300, 451, 3], "data": base64.b64encode(cat.tobytes()).decode()}
    headers = {"Content-Type": "application/json; charset=utf-8", "Accept": "image/png"}
    expected = direct(client, "png", MASKS[:1])[0].file
    for image in (as_file, as_tensor):
        answer = call(http, "POST", "/process", json.dumps({"image": image, "masks": [mask], **QUICK}), headers)
        assert (answer.status, answer.body) == (200, expected)


def test_a_preset_says_the_format_where_accept_does_not(http: str) -> None:
    wanted = {"preset": "marketplace", "canvas": "64x64"}
    shop = post(http, wanted, "image/*", masks=MASKS[:1])
    assert shop.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shop.body)).size == (64, 64)
    as_png = post(http, wanted, "image/png", masks=MASKS[:1])
    assert as_png.headers["content-type"] == "image/png"
    assert decode_image(as_png.body)[0, 0].tolist() == [255, 255, 255]
    assert post(http, wanted, masks=MASKS[:1]).json["objects"][0]["picture"]["content_type"] == "image/jpeg"


def test_format_limits_what_can_be_accepted(http: str) -> None:
    assert post(http, {**QUICK, "format": "webp"}, "image/*", masks=MASKS).headers["content-type"] == "image/webp"
    refused = post(http, {**QUICK, "format": "webp"}, "image/png", masks=MASKS)
    assert (refused.status, refused.headers["content-type"]) == (406, "application/problem+json")
    assert "image/webp" in refused.json["detail"]
    assert post(http, {"format": "png"}, "application/octet-stream", masks=MASKS).json["field"] == "format"


def test_merge_makes_one_of_all(http: str) -> None:
    told = post(http, {**QUICK, "merge": "true"}, masks=MASKS).json
    assert [one["index"] for one in told["objects"]] == [0]
    assert told["objects"][0]["box"] == [0, 0, 451, 300]  # the regions of whole masks


def test_masks_come_if_they_are_asked_for(http: str) -> None:
    told = post(http, {"return_masks": "true"}).json
    (one,) = told["objects"]
    x0, y0, x1, y1 = one["mask"]["region"]
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["mask"]["data"]))))
    assert mask.shape == (y1 - y0, x1 - x0)
    assert mask.dtype == np.uint8
    assert mask.max() > 200
    assert "mask" not in post(http).json["objects"][0]
    archive = zipfile.ZipFile(io.BytesIO(post(http, {"return_masks": "true"}, accept="application/zip").body))
    summary = json.loads(archive.read("summary.json"))
    assert summary["objects"][0]["mask"] == {"file": "0-mask.png", "region": [x0, y0, x1, y1]}
    np.testing.assert_array_equal(np.asarray(Image.open(archive.open("0-mask.png"))), mask)
    picture = post(http, {"return_masks": "true"}, accept="image/png")
    assert (picture.status, picture.json["field"]) == (400, "return_masks")

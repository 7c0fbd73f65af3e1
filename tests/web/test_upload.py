"""What is refused of an upload, how early, and that nobody can hold the server up with one."""

import base64
import io
import json
import socket

import pytest
from http_caller import CAT, FORM, call, form, post, raw, read_all
from PIL import Image

from tensorhop.web import endpoint

JSON = {"Content-Type": "application/json"}
RAW = {"Content-Type": "application/octet-stream"}
IMAGE = {"encoded": base64.b64encode(CAT).decode()}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "LINGER_SECONDS", 0.05)


def answer_of(received: bytes) -> tuple[int, dict]:
    """Status and problem of a raw answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)


def send(address: str, *lines: str, body: bytes = b"") -> socket.socket:
    opened = raw(address)
    opened.sendall("\r\n".join([*lines, "Host: here", "", ""]).encode() + body)
    return opened


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "image/jpeg", "application/x-www-form-urlencoded", "multipart/mixed"]
)
def test_other_content_is_415(http: str, kind: str) -> None:
    answer = call(http, "POST", "/process", b"abc", {"Content-Type": kind} if kind else {})
    assert (answer.status, answer.json["code"]) == (415, "INVALID_ARGUMENT")
    assert "multipart/form-data" in answer.json["detail"]


def test_an_encoded_body_is_415(http: str) -> None:
    answer = call(http, "POST", "/process", b"abc", {**FORM, "Content-Encoding": "gzip"})
    assert (answer.status, "gzip" in answer.json["detail"]) == (415, True)


def test_what_cannot_be_answered_is_406_before_it_is_read(http: str) -> None:
    with send(http, "POST /process HTTP/1.1", "Accept: text/html", "Content-Length: 9999999") as opened:
        status, told = answer_of(read_all(opened))
    assert (status, "image/png" in told["detail"]) == (406, True)


@pytest.mark.parametrize("kind", [FORM["Content-Type"], JSON["Content-Type"], RAW["Content-Type"]])
def test_a_length_over_the_limit_is_413_before_it_is_read(http_with, kind: str) -> None:
    http = http_with(max_upload_bytes=1000)
    with send(http, "POST /process HTTP/1.1", f"Content-Type: {kind}", "Content-Length: 1001") as opened:
        status, told = answer_of(read_all(opened))
    assert (status, told["detail"]) == (413, "the request has 1,001 bytes; at most 1,000 are allowed")


def test_the_limit_of_messages_holds_too(http_with) -> None:
    http = http_with(max_message_bytes=4 * 1024 * 1024)
    length = 4 * 1024 * 1024 + 1
    with send(http, "POST /process HTTP/1.1", "Content-Type: application/json", f"Content-Length: {length}") as opened:
        assert answer_of(read_all(opened))[0] == 413


@pytest.mark.parametrize("kind", [FORM["Content-Type"], RAW["Content-Type"]])
def test_a_chunked_upload_is_cut_off_at_the_limit(http_with, kind: str) -> None:
    http = http_with(max_upload_bytes=1000)
    chunk = b"200\r\n" + b"-" * 0x200 + b"\r\n"
    part = form({}, image=b"x" * 900)[:600]
    first = f"{len(part):x}\r\n".encode() + part + b"\r\n"
    with send(
        http, "POST /process HTTP/1.1", f"Content-Type: {kind}", "Transfer-Encoding: chunked", body=first + chunk
    ) as opened:
        status, told = answer_of(read_all(opened))  # no last chunk was sent: the server has closed of itself
    assert (status, told["detail"]) == (413, "the request has over 1,000 bytes; at most 1,000 are allowed")


def test_a_client_that_sends_on_gets_its_413(http_with, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "LINGER_SECONDS", 20)
    http = http_with(max_upload_bytes=1000)
    answer = call(http, "POST", "/process", b"x" * 3_000_000, JSON)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("kind", [FORM["Content-Type"], RAW["Content-Type"]])
def test_a_byte_at_a_time_is_cut_off_by_408(http_with, kind: str) -> None:
    http = http_with(max_upload_seconds=0.3)
    body = form({})
    with send(http, "POST /process HTTP/1.1", f"Content-Type: {kind}", f"Content-Length: {len(body)}") as opened:
        opened.settimeout(0.05)
        received = b""
        for byte in body[:400]:
            opened.send(bytes([byte]))
            try:
                received = opened.recv(65536)
            except TimeoutError:
                continue
            break
        opened.settimeout(20)
        received += read_all(opened)
    status, told = answer_of(received)
    assert (status, told["code"]) == (408, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize(
    "body",
    [b"", b"--other\r\n", form({})[:-200], form({}).replace(b"form-data; name", b"form-data; eman"), b"\0" * 100],
    ids=["empty", "another boundary", "cut short", "without names", "zeros"],
)
def test_a_broken_form_is_400(http: str, body: bytes) -> None:
    answer = call(http, "POST", "/process", body, FORM)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_ARGUMENT")
    assert answer.json["field"] in ("form", "image")


def test_a_form_without_a_boundary_is_400(http: str) -> None:
    answer = call(http, "POST", "/process", form({}), {"Content-Type": "multipart/form-data"})
    assert (answer.status, answer.json["field"]) == (400, "form")


def test_a_form_has_one_image(http: str) -> None:
    assert post(http, image=None).json["detail"] == "image is missing; give one"
    mark = b'--a-boundary\r\nContent-Disposition: form-data; name="image"; filename="f"\r\n\r\nx\r\n'
    two = call(http, "POST", "/process", mark + form({}), FORM)
    assert (two.status, two.json["detail"]) == (400, "image came 2 times; give one")


def test_text_and_files_are_not_mixed_up(http: str) -> None:
    assert "as a file" in post(http, {"image": "/etc/passwd"}, image=None).json["detail"]
    swapped = form({}).replace(b'name="image"', b'name="phrases"')
    assert call(http, "POST", "/process", swapped, FORM).json["field"] == "phrases"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        (None, "image"),
        ({"image": "abc"}, "image"),
        ({"image": {}}, "image"),
        ({"image": {"path": "/etc/passwd"}}, "image"),
        ({"image": {"encoded": "a"}}, "image.encoded"),
        ({"image": {"encoded": "£££"}}, "image.encoded"),
        ({"image": {"encoded": 3}}, "image.encoded"),
        ({"image": {"encoded": ""}}, "image.encoded"),
        ({"image": {"dtype": "UINT9", "shape": [1, 1, 3], "data": "AAAA"}}, "image.tensor.dtype"),
        ({"image": {"dtype": "\ud800", "shape": [1, 1, 3], "data": "AAAA"}}, "image.tensor.dtype"),
        ({"image": {"dtype": "FP32", "shape": [1, 1, 1], "data": "AAAAAA=="}}, "image.tensor.dtype"),
        ({"image": {"dtype": "UINT8", "shape": [1, 2, 3], "data": "AAAA"}}, "image.tensor.data"),
        ({"image": {"dtype": "UINT8", "shape": [1, True, 3], "data": "AAAA"}}, "image.tensor.shape"),
        ({"image": {"dtype": "UINT8", "shape": [1, 10**30, 3], "data": "AAAA"}}, "image.tensor.shape"),
        ({"image": {"dtype": "UINT8", "shape": [1, 1, 3], "data": None}}, "image.tensor.data"),
        ({"image": IMAGE, "masks": IMAGE}, "masks"),
        ({"image": IMAGE, "masks": [{"path": "x"}]}, "masks"),
        ({"image": IMAGE, "masks": [{"encoded": "AAAA"}]}, "masks[0]"),
        ({"image": IMAGE, "rot": "120"}, "rot"),
        ({"image": IMAGE, "shadov": "none"}, "shadov"),
    ],
)
def test_a_wrong_member_is_named(http: str, members: dict | None, field: str) -> None:
    answer = call(http, "POST", "/process", json.dumps(members or {}), JSON)
    assert (answer.status, answer.json["field"]) == (400, field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"rot": NaN}',
        b'{"image": {}, "image": {}}',
        b"\xff",
        b"{" + b"[]," * 100_000,
    ],
    ids=lambda body: body[:9],
)
def test_what_is_no_json_object_is_400(http: str, body: bytes) -> None:
    answer = call(http, "POST", "/process", body, JSON)
    assert (answer.status, answer.json["field"]) == (400, "request")


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({}, "image.tensor"),
        ({"Tensor-Dtype": "UINT8"}, "image.tensor"),
        ({"Tensor-Dtype": "UINT8", "Tensor-Shape": "1,1"}, "image.tensor.data"),
        ({"Tensor-Dtype": "UINT8", "Tensor-Shape": "3"}, "image.tensor.shape"),
        ({"Tensor-Dtype": "UINT8", "Tensor-Shape": "1x1x3"}, "image.tensor.shape"),
        ({"Tensor-Dtype": "UINT8", "Tensor-Shape": "-1,-1,3"}, "image.tensor.shape"),
        ({"Tensor-Dtype": "BYTES", "Tensor-Shape": "1,1,3"}, "image.tensor.dtype"),
    ],
)
def test_a_wrong_tensor_is_named(http: str, headers: dict, field: str) -> None:
    answer = call(http, "POST", "/process", b"abc", {**RAW, **headers})
    assert (answer.status, answer.json["field"]) == (400, field)


def test_no_file_is_written(http: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a photo that Starlette's parser would put on the disk."""

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    answer = post(http, image=CAT + b"\0" * 3_000_000, masks=[b"no mask"])
    assert answer.json["field"] == "masks[0]"


@pytest.mark.parametrize(
    "start", ["", "data:image/jpeg;base64,", "data:;base64,", " DATA:image/png;name=a.png;base64,"]
)
@pytest.mark.parametrize("lines", ["", "\n", "\r\n", " \t"])
def test_base64_may_have_line_breaks_or_stand_in_a_data_uri(http: str, start: str, lines: str) -> None:
    text = base64.b64encode(CAT).decode()
    broken = start + lines.join(text[place : place + 76] for place in range(0, len(text), 76)) + lines
    wanted = {"image": {"encoded": broken}, "boxes": [[20, 10, 440, 300]], "shadow": "none"}
    answer = call(http, "POST", "/process", json.dumps(wanted), JSON)
    assert answer.status == 200
    assert answer.json["summary"]["photo"] == [451, 300]


@pytest.mark.parametrize("text", ["data:image/png,abcd", "data:image/png;base64", "data:image/png;base64,ab!d", "abc"])
def test_what_is_no_base64_is_refused(http: str, text: str) -> None:
    answer = call(http, "POST", "/process", json.dumps({"image": {"encoded": text}}), JSON)
    assert (answer.status, answer.json["field"]) == (400, "image.encoded")


def test_a_mask_of_another_size_is_refused_by_file_and_by_json(http: str) -> None:
    file = io.BytesIO()
    Image.new("L", (225, 150), 255).save(file, "PNG")
    wanted = {"image": IMAGE, "masks": [{"encoded": base64.b64encode(file.getvalue()).decode()}]}
    for answer in (
        post(http, masks=[file.getvalue()]),
        call(http, "POST", "/process", json.dumps(wanted), JSON),
    ):
        assert (answer.status, answer.json["field"]) == (400, "masks[0]")
        assert "225 x 150 pixels; the upright photo is 451 x 300" in answer.json["detail"]

"""An older client, written from a description of the server that it was made for, gets from this one what it reads."""

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import requests
from fake_pipeline import serving
from http_caller import CAT, oval, post
from PIL import Image

from tensorhop.rpc.server import Server
from tensorhop.web.serve import HttpServer

QUICK = {"canvas": "64x48", "shadow": "none"}


class OldAnswer(NamedTuple):
    status: int
    message: str
    pictures: dict[str, bytes]  # by file name


def old_client(url: str, photo: bytes, **fields: object) -> OldAnswer:
    """The client. It sends no Accept of its own, and splits the body by hand: requests reads no multipart."""
    answer = requests.post(f"{url}/process", files={"image": ("photo.jpg", photo)}, data=fields, timeout=60)
    kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    first, *parts, last = answer.content.split(b"--" + boundary.encode())
    assert (first, last) == (b"", b"--\r\n")
    message, pictures = "", {}
    for part in parts:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        said = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        about = said["Content-Disposition"]
        if 'name="message"' in about:
            message = content.decode()
        elif 'name="image"' in about:
            assert said["Content-Type"] == "image/jpeg"
            pictures[about.partition('filename="')[2].rstrip('"')] = content
    return OldAnswer(answer.status_code, message, pictures)


@pytest.fixture(scope="module")
def old(servers: dict[str, Server]) -> Iterator[str]:
    """The address of a server that answers multipart where Accept allows all."""
    server = HttpServer("127.0.0.1:0", servers["pipeline"].address, multipart=True)
    yield server.address
    server.stop(1).wait()


def test_the_old_client_gets_its_message_and_its_pictures(old: str) -> None:
    answer = old_client(f"http://{old}", CAT, rot="120", text="a café's cat")
    assert (answer.status, answer.message) == (200, "a café's cat")
    assert list(answer.pictures) == ["processed_image_0.jpg"]
    picture = Image.open(io.BytesIO(answer.pictures["processed_image_0.jpg"]))
    assert (picture.format, picture.size) == ("JPEG", (512, 512))
    grey = np.asarray(picture.convert("L")).astype(int)
    assert grey[:8].min() > 240  # white at the top
    covered = np.argwhere(grey < 250)
    assert (covered.max(0) - covered.min(0)).max() > 0.75 * 512


def test_it_is_answered_where_it_is_asked_for_and_values_beside_the_preset_win(http: str) -> None:
    masks = [oval(), oval(middle=(250, 120))]
    answer = post(http, QUICK, "multipart/form-data", masks=masks)
    assert b"\r\n\r\nobjects: 2\r\n" in answer.body
    assert answer.body.count(b'filename="processed_image_') == 2
    start = answer.body.index(b"\xff\xd8")
    assert Image.open(io.BytesIO(answer.body[start:])).size == (64, 48)
    other = post(http, {**QUICK, "format": "png"}, "multipart/form-data", masks=masks[:1])
    assert b'filename="processed_image_0.png"\r\nContent-Type: image/png' in other.body
    assert post(http, {**QUICK, "text": "a"}, masks=masks).json["field"] == "text"
    assert post(http, QUICK, masks=masks).headers["content-type"] == "application/json"  # without --answer multipart


def test_other_answers_stay_where_they_are_asked_for(old: str) -> None:
    assert post(old, QUICK, "application/json", masks=[oval()]).json["summary"]["objects"] == 1
    assert post(old, QUICK, "image/*", masks=[oval()]).headers["content-type"] == "image/png"


def test_errors_come_in_the_same_form_with_their_status(old: str) -> None:
    broken = old_client(f"http://{old}", b"no photo")
    assert (broken.status, broken.pictures) == (400, {})
    assert broken.message.startswith("image")
    unknown = old_client(f"http://{old}", CAT, nonsense="1")
    assert (unknown.status, unknown.message.split()[0]) == (400, "nonsense")
    with serving(multipart=True) as (fake, address, _):
        busy = old_client(f"http://{address}", CAT, request_id="busy")
        assert (busy.status, busy.message) == (429, "16 inputs wait already")
        nothing = old_client(f"http://{address}", CAT, request_id="nothing")
        assert (nothing.status, nothing.message) == (404, "nothing was found in the photo")
        failed = old_client(f"http://{address}", CAT, request_id="all fail")
        assert (failed.status, failed.message) == (503, "segment has gone")
        one = old_client(f"http://{address}", CAT, request_id="first fails", text="both")
        assert (one.status, one.message) == (200, "both\nobject 0 failed: segment has gone")
        assert one.pictures == {"processed_image_1.jpg": b"picture 1"}
        assert fake.requests[-1].output.quality == 95

"""A connection serves many requests, and waits for ever for none."""

import contextlib
import time
from http.client import HTTPConnection

import pytest
from fake_pipeline import LARGE, serving
from http_caller import FORM, QUICK, form, oval, raw, read_all

from tensorhop.settings import Settings


def test_one_connection_serves_many_requests(http: str) -> None:
    connection = HTTPConnection(http, timeout=30)
    for fields, status in [(QUICK, 200), ({"rot": "x"}, 400), (QUICK, 200)]:
        connection.request("POST", "/process", form(fields, masks=[oval()]), FORM)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, True)
        assert connection.sock is not None  # it was not closed
    connection.close()


@pytest.mark.parametrize("first", [b"", b"POST /process HTTP/1.1\r\nHost: he"], ids=["nothing", "half a head"])
def test_a_connection_that_asks_for_nothing_is_closed(http_with, first: bytes) -> None:
    http = http_with(max_upload_seconds=0.2)
    with raw(http) as opened:
        opened.sendall(first)
        assert read_all(opened) == b""


def test_a_kept_connection_is_watched_as_well(http_with) -> None:
    http = http_with(max_upload_seconds=1)
    with raw(http) as opened:
        opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        while b"live" not in (received := opened.recv(65536)):
            assert received
        opened.sendall(b"GET /hea")
        assert read_all(opened) == b""


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    with serving(settings=Settings(max_upload_seconds=1)) as (_, address, server):
        body = form({"request_id": "large"}, image=b"x")
        lines = ["POST /process HTTP/1.1", "Host: here", "Accept: image/png", f"Content-Length: {len(body)}"]
        with raw(address) as opened:
            opened.sendall("\r\n".join([*lines, f"Content-Type: {FORM['Content-Type']}", "", ""]).encode() + body)
            seen = opened.recv(1000)
            assert f"content-length: {LARGE}".encode() in seen
            deadline = time.monotonic() + 30
            while server._server.server_state.connections:
                assert time.monotonic() < deadline, "the connection was kept"
                time.sleep(0.02)
            with contextlib.suppress(ConnectionResetError):
                seen += read_all(opened)
        assert len(seen) < LARGE

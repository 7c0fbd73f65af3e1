"""Clients that send slowly, do not read, or ask too much, do not hold up the others."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from fake_pipeline import LARGE, FakePipeline, serving
from http_caller import FORM, form, post, raw, read_all
from waiting import GUARD, wait_for

from tensorhop.orchestrator.cutouts.service import SERVICE
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.web.requests.upload import UPLOADS
from tensorhop.web.serve import HttpServer

pytestmark = pytest.mark.slow

BODY = form({}, image=b"an image")


def head(length: int, *more: str, kind: str = FORM["Content-Type"]) -> bytes:
    lines = [
        "POST /process HTTP/1.1",
        "Host: here",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


@contextlib.contextmanager
def half_uploads(address: str, count: int) -> Iterator[list[socket.socket]]:
    """Connections that have sent a part of their request, and wait."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(raw(address)) for _ in range(count)]
        for one in opened:
            one.sendall(head(len(BODY)) + BODY[:100])
        yield opened


def ask_from(address: str, host: str, behaviour: str = "x", token: str = "") -> int:
    """The status for a request from one of this machine's addresses."""
    connection = HTTPConnection(address, timeout=GUARD, source_address=(host, 0))
    headers = FORM | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request("POST", "/process", form({"request_id": behaviour}, image=b"x"), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def status_of(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


def test_slow_uploads_hold_no_place() -> None:
    with serving(settings=Settings(max_requests=2)) as (_, address, _), half_uploads(address, 8) as slow:
        assert post(address, image=b"an image").status == 200
        for one in slow:  # and each of them gets its answer when it has sent the rest
            one.sendall(BODY[100:])
            assert status_of(one.recv(65536)) == 200


def test_how_many_are_uploaded_is_bounded_and_another_address_gets_in() -> None:
    with serving(settings=Settings(max_requests=1)) as (_, address, _), half_uploads(address, UPLOADS + 5) as slow:
        wait_for(lambda: len(waiting(slow)) == 5)
        for answer in waiting(slow):
            assert (status_of(answer), b"requests are being received, the most that may be" in answer) == (503, True)
        assert ask_from(address, "127.0.0.2") == 200


def test_the_bytes_of_uploads_are_bounded() -> None:
    settings = Settings(max_upload_bytes=100_000, max_requests=16)
    with serving(settings=settings) as (_, address, _), contextlib.ExitStack() as stack:
        opened = [stack.enter_context(raw(address)) for _ in range(12)]
        for one in opened:
            one.sendall(head(100_000, kind="application/json") + bytes(99_000))
        wait_for(lambda: any(status_of(answer) == 503 for answer in waiting(opened)))
        assert any(b"bytes of requests are being received" in answer for answer in waiting(opened))
        assert ask_from(address, "127.0.0.2") == 200


def test_an_upload_that_stops_is_cut_off_by_408() -> None:
    settings = Settings(max_requests=1, max_stall_seconds=0.3)
    with serving(settings=settings) as (_, address, _), half_uploads(address, 1) as slow:
        received = read_all(slow[0])
        assert status_of(received) == 408
        assert b"nothing of the request came for 0.3 s (TENSORHOP_MAX_STALL_SECONDS)" in received


def test_a_slow_upload_that_goes_on_has_more_time() -> None:
    settings = Settings(max_upload_seconds=0.5)
    body = form({"request_id": "x"}, image=bytes(100_000))
    with serving(settings=settings) as (_, address, _), raw(address) as slow:
        slow.sendall(head(len(body)))
        started = time.monotonic()
        for at in range(0, len(body), 10_000):
            slow.sendall(body[at : at + 10_000])
            time.sleep(0.1)
        assert time.monotonic() - started > 2 * settings.max_upload_seconds
        assert status_of(slow.recv(65536)) == 200


@pytest.mark.parametrize("accept", ["image/png", "text/event-stream"])
def test_who_does_not_read_gives_the_place_back(accept: str) -> None:
    body = form({"request_id": "large"}, image=b"x")
    settings = Settings(max_requests=2, max_stall_seconds=0.5)
    with serving(settings=settings) as (_, address, _), contextlib.ExitStack() as stack:
        for _ in range(2):
            one = stack.enter_context(raw(address))
            one.sendall(head(len(body), f"Accept: {accept}") + body)
            assert one.recv(100)
        wait_for(lambda: post(address, image=b"x").status == 200)


def test_a_slow_reader_of_events_does_not_hold_up_the_pipeline() -> None:
    """Its events are large; the pipeline would give up one that stands still."""
    fake = FakePipeline()
    pipeline = Server(SERVICE, fake, "127.0.0.1:0", settings=Settings(max_stall_seconds=1))
    http = HttpServer("127.0.0.1:0", pipeline.address)
    body = form({"request_id": "large"}, image=b"x")
    try:
        with raw(http.address) as slow:
            slow.sendall(head(len(body), "Accept: text/event-stream", "Connection: close") + body)
            time.sleep(2.5)
            received = read_all(slow)
        assert len(received) > LARGE
        assert received.rstrip().rpartition(b"event: ")[2].startswith(b"summary")
    finally:
        http.stop(1).wait()
        pipeline.stop(0).wait()


def test_a_full_server_takes_another_address() -> None:
    with serving(settings=Settings(max_requests=2)) as (fake, address, _):
        threads = [threading.Thread(target=ask_from, args=(address, "127.0.0.1", "waits")) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert all(fake.entered.acquire(timeout=GUARD) for _ in threads)
        assert ask_from(address, "127.0.0.2") == 200
        fake.go_on.set()
        for thread in threads:
            thread.join()


def test_a_full_server_takes_another_token(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("first\nsecond\n")
    security = Security(token_file=str(tmp_path / "tokens"))
    fake = FakePipeline()
    pipeline = Server(SERVICE, fake, "127.0.0.1:0", security)
    http = HttpServer("127.0.0.1:0", pipeline.address, (), security, Settings(max_requests=2))
    greedy = [threading.Thread(target=ask_from, args=(http.address, "127.0.0.1", "waits", "first")) for _ in range(2)]
    try:
        for thread in greedy:
            thread.start()
        assert all(fake.entered.acquire(timeout=GUARD) for _ in greedy)
        assert ask_from(http.address, "127.0.0.1", "x", "second") == 200
    finally:
        fake.go_on.set()
        for thread in greedy:
            thread.join()
        http.stop(1).wait()
        pipeline.stop(0).wait()


def waiting(opened: list[socket.socket]) -> list[bytes]:
    """The answers that came on connections so far, those of which all has come: head and body may come apart."""
    found = []
    for one in opened:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            found.append(one.recv(65536, socket.MSG_PEEK))
        one.setblocking(True)
        one.settimeout(GUARD)
    return [answer for answer in found if is_whole(answer)]


def is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
    return length is not None and len(body) >= int(length[1])

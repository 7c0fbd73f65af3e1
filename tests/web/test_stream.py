"""What becomes of a request whose pipeline fails on the way, and of one whose caller leaves."""

import threading
from collections.abc import Iterator

import pytest
from fake_pipeline import FakePipeline, serving
from http_caller import FORM, Answer, events_of, form, post, raw, read_all
from waiting import GUARD

from tensorhop.settings import Settings


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[FakePipeline, str]]:
    with serving() as (fake, address, _):
        yield fake, address


@pytest.fixture
def fake(both: tuple[FakePipeline, str]) -> FakePipeline:
    both[0].left.clear()
    both[0].go_on.clear()
    return both[0]


@pytest.fixture(scope="module")
def address(both: tuple[FakePipeline, str]) -> str:
    return both[1]


def ask(address: str, behaviour: str, accept: str = "", **fields: object) -> Answer:
    return post(address, {"request_id": behaviour, **fields}, accept, image=b"an image")


@pytest.mark.parametrize("accept", ["", "image/png", "application/zip", "text/event-stream"])
def test_the_pipelines_own_words_are_passed_on(address: str, accept: str) -> None:
    answer = ask(address, "wrong", accept)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json == {
        "type": "about:blank", "title": "Bad Request", "status": 400, "code": "INVALID_ARGUMENT",
        "detail": "boxes[2].x1 is NaN; it must be finite", "field": "boxes[2].x1", "parameter": "boxes", "step": "",
        "retryable": False, "request_id": "wrong",
    }  # fmt: skip


def test_an_overloaded_pipeline_says_when_to_come_again(address: str) -> None:
    answer = ask(address, "busy")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert (answer.json["retry_after"], answer.json["retryable"]) == (2.5, True)


def test_a_step_that_failed_is_named(address: str) -> None:
    answer = ask(address, "broken")
    assert (answer.status, answer.json["step"], answer.json["code"]) == (503, "segment", "UNAVAILABLE")


def test_nothing_found_is_no_error_but_there_is_no_picture(address: str) -> None:
    told = ask(address, "nothing")
    assert (told.status, told.json["objects"]) == (200, [])
    none = ask(address, "nothing", "image/png")
    assert (none.status, none.json["code"]) == (404, "NOT_FOUND")


def test_a_failed_object_leaves_the_others(address: str) -> None:
    told = ask(address, "first fails").json
    assert [one["index"] for one in told["objects"]] == [1]
    assert [(one["index"], one["step"], one["code"]) for one in told["faults"]] == [(0, "segment", "UNAVAILABLE")]
    assert ask(address, "first fails", "image/png").body == b"picture 1"
    names = [name for name, _ in events_of(ask(address, "first fails", "text/event-stream").body)]
    assert names == ["detections", "object", "fault", "summary"]


@pytest.mark.parametrize("accept", ["", "image/png", "application/zip"])
def test_without_continue_on_error_it_fails_the_request(address: str, accept: str) -> None:
    answer = ask(address, "first fails", accept, continue_on_error="false")
    assert (answer.status, answer.json["detail"], answer.json["step"]) == (503, "segment has gone", "segment")


def test_of_one_picture_it_is_an_error_that_all_failed(address: str) -> None:
    assert ask(address, "all fail", "image/png").json["detail"] == "segment has gone"
    assert len(ask(address, "all fail").json["faults"]) == 2


@pytest.mark.parametrize(
    ("behaviour", "fields"), [("breaks", {}), ("first fails", {"continue_on_error": "false"})], ids=["gRPC", "object"]
)
def test_events_that_cannot_go_on_end_with_a_problem(address: str, behaviour: str, fields: dict) -> None:
    answer = ask(address, behaviour, "text/event-stream", **fields)
    assert answer.status == 200
    name, data = events_of(answer.body)[-1]
    assert (name, data["status"], data["code"], data["step"]) == ("problem", 503, "UNAVAILABLE", "segment")


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json", "image/png"])
def test_a_client_that_leaves_ends_the_work(fake: FakePipeline, address: str, accept: str) -> None:
    body = form({"request_id": "waits"}, image=b"an image")
    connection = raw(address)
    connection.sendall(head(body, accept) + body)
    assert fake.entered.acquire(timeout=GUARD)
    if accept == "text/event-stream":
        while b"event: detections" not in connection.recv(65536):
            pass
    assert not fake.left.is_set()
    connection.close()
    assert fake.left.wait(GUARD)
    assert not fake.go_on.is_set()


def test_events_are_sent_when_they_happen(fake: FakePipeline, address: str) -> None:
    body = form({"request_id": "waits"}, image=b"an image")
    with raw(address) as connection:
        connection.sendall(head(body, "text/event-stream") + body)
        seen = b""
        while b"event: detections" not in seen:
            seen += connection.recv(65536)
        assert b"event: summary" not in seen
        fake.go_on.set()
        assert b"event: summary" in read_all(connection)


def test_the_deadline_travels_and_is_told(fake: FakePipeline, address: str) -> None:
    answer = ask(address, "waits", timeout="2")
    assert (answer.status, answer.json["code"]) == (504, "DEADLINE_EXCEEDED")
    assert fake.left.wait(GUARD)
    assert 0 < (fake.seconds[-1] or 0) <= 2
    ask(address, "x", timeout="500")
    post(address, {}, headers={"X-Request-Timeout": "400"}, image=b"an image")
    post(address, {}, image=b"an image")
    assert [round(seconds or 0, -2) for seconds in fake.seconds[-3:]] == [500, 400, 600]
    assert post(address, headers={"X-Request-Timeout": "soon"}).json["field"] == "X-Request-Timeout"


def test_request_ids_go_in_and_out(fake: FakePipeline, address: str) -> None:
    named = post(address, {}, headers={"X-Request-Id": "from the header"}, image=b"an image")
    assert (named.headers["x-request-id"], fake.requests[-1].request_id) == ("from the header", "from the header")
    both = post(address, {"request_id": "field"}, headers={"X-Request-Id": "header"}, image=b"an image")
    assert (both.headers["x-request-id"], fake.requests[-1].request_id) == ("field", "field")
    made = post(address, {}, image=b"an image")
    assert made.headers["x-request-id"] == fake.requests[-1].request_id != ""
    refused = post(address, {"rot": "x"}, headers={"X-Request-Id": "mine"})
    assert refused.headers["x-request-id"] == refused.json["request_id"] == "mine"


def test_one_picture_asks_for_one_object_unless_told_otherwise(fake: FakePipeline, address: str) -> None:
    asked = [
        ask(address, "x", accept, **fields) and fake.requests[-1]
        for accept, fields in [
            ("image/png", {}),
            ("image/png", {"max_objects": 3}),
            ("image/png", {"merge": 1}),
            ("", {}),
        ]
    ]
    assert [request.max_objects if request.HasField("max_objects") else None for request in asked] == [1, 3, None, None]


def test_more_requests_than_places_are_refused() -> None:
    with serving(settings=Settings(max_requests=1)) as (fake, address, _):
        first = threading.Thread(target=ask, args=(address, "waits"))
        first.start()
        assert fake.entered.acquire(timeout=GUARD)
        refused = ask(address, "x")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert (refused.json["code"], refused.json["retryable"]) == ("UNAVAILABLE", True)
        fake.go_on.set()
        first.join()
        assert ask(address, "x").status == 200  # the place is free again


def test_draining_finishes_what_is_in_flight(fake: FakePipeline) -> None:
    with serving() as (other, address, server):
        answers: list[Answer] = []
        asking = threading.Thread(target=lambda: answers.append(ask(address, "waits")))
        asking.start()
        assert other.entered.acquire(timeout=GUARD)
        stopped = server.stop(20)
        while True:
            try:
                raw(address).close()
            except ConnectionError:  # no more are taken
                break
        assert not stopped.is_set()
        other.go_on.set()
        asking.join()
        assert answers[0].status == 200
        assert stopped.wait(GUARD)


def head(body: bytes, accept: str) -> bytes:
    lines = [
        "POST /process HTTP/1.1",
        "Host: here",
        f"Accept: {accept}",
        f"Content-Type: {FORM['Content-Type']}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()

"""What every answer has, who may ask, and what the small endpoints say."""

from collections.abc import Iterator

import pytest
from fake_pipeline import serving
from http_caller import Answer, call, post

from tensorhop.web.serve import HttpServer


@pytest.fixture(scope="module")
def shared() -> Iterator[str]:
    """A server that lets one other origin in."""
    with serving(("https://shop.example",)) as (_, address, _):
        yield address


def ask(address: str, **headers: str) -> Answer:
    return post(address, image=b"x", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("path", ["/", "/process", "/nowhere", "/readyz", "/openapi.json"])
def test_every_answer_keeps_browsers_safe(shared: str, path: str) -> None:
    headers = call(shared, "GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_other_paths_and_methods_are_problems(shared: str) -> None:
    for method, path, status, code in [("GET", "/x", 404, "NOT_FOUND"), ("GET", "/process", 405, "UNIMPLEMENTED")]:
        answer = call(shared, method, path)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json["code"] == code
    assert call(shared, "PUT", "/process").headers["allow"] == "POST"


def test_health(shared: str) -> None:
    assert call(shared, "GET", "/healthz").json == {"status": "live"}
    assert call(shared, "GET", "/readyz").json == {"status": "ready"}
    assert b"POST /process" in call(shared, "GET", "/").body


def test_without_a_pipeline_it_lives_but_is_not_ready() -> None:
    server = HttpServer("127.0.0.1:0", "127.0.0.1:9")
    try:
        assert call(server.address, "GET", "/healthz").status == 200
        answer = call(server.address, "GET", "/readyz")
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
        failed = post(server.address, image=b"x")
        assert (failed.status, failed.json["code"], failed.json["retryable"]) == (503, "UNAVAILABLE", True)
    finally:
        server.stop(1).wait()


def test_pages_of_other_origins_are_kept_out(http: str) -> None:
    for origin in ("https://evil.example", "null", f"http://{http}.evil.example"):
        refused = ask(http, Origin=origin)
        assert (refused.status, refused.json["code"]) == (403, "PERMISSION_DENIED")
        assert not any(name.startswith("access-control") for name in refused.headers)
    assert ask(http, Origin=f"http://{http}").status == 400  # its own page: that is no image
    preflight = call(http, "OPTIONS", "/process", headers={"Origin": "https://evil.example"})
    assert not any(name.startswith("access-control") for name in preflight.headers)


def test_allowed_origins_are_let_in(shared: str) -> None:
    let_in = ask(shared, Origin="https://shop.example")
    assert (let_in.status, let_in.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert "X-Request-Id" in let_in.headers["access-control-expose-headers"]
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "tensor-shape"}
    preflight = call(shared, "OPTIONS", "/process", headers={"Origin": "https://shop.example", **wanted})
    assert preflight.status == 200
    refused = ask(shared, Origin="https://evil.example")
    assert (refused.status, "access-control-allow-origin" in refused.headers) == (403, False)


def test_no_words_of_the_caller_get_into_a_header(shared: str) -> None:
    answer = ask(shared, X_Request_Id="é")
    assert answer.headers["x-request-id"].isalnum()
    assert answer.status == 200

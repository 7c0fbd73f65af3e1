"""Every method over HTTP: the Connect protocol by its own client, and JSON by hand, as a gRPC client gets it."""

import base64
import gzip
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from connectrpc.client import ConnectClientSync
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from fake_pipeline import FakePipeline, serving
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from hostile import valid
from http_caller import Answer, call, events_of
from waiting import GUARD

from tensorhop.client.remotes import Remotes
from tensorhop.rpc.registry import services
from tensorhop.rpc.security import Security
from tensorhop.settings import Settings
from tensorhop.v1 import fault_pb2
from tensorhop.web.connect import routes
from tensorhop.web.serve import HttpServer
from tensorhop.wire.codec import Packet, encode
from tensorhop.wire.payloads import Payloads

JSON = {"Content-Type": "application/json"}
PROCESS = "/tensorhop.v1.PipelineService/Process"
FINISH = "/tensorhop.v1.PostprocessService/Postprocess"
SCORE = "/tensorhop.v1.QualityService/Score"
CODECS = {"proto": google_protobuf_binary_codec(), "json": google_protobuf_json_codec()}
PROTOCOLS = [ProtocolType.CONNECT, ProtocolType.GRPC_WEB]


def info(service: Any, name: str) -> MethodInfo[Any, Any]:
    """What the library's client must know of a method, from its descriptor."""
    method = service.methods_by_name[name]
    return MethodInfo(
        name=name,
        service_name=service.full_name,
        input=GetMessageClass(method.input_type),
        output=GetMessageClass(method.output_type),
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY,
    )


VALID = valid()
FINISHES = info(services()["postprocess"].descriptor, "Postprocess")
SCORES = info(services()["quality"].descriptor, "Score")


def ask(address: str, path: str, request: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(address, "POST", path, json.dumps(request), {**JSON, **named})


def fault_of(error: dict[str, Any]) -> fault_pb2.Fault:
    """The detail of an error in JSON."""
    (detail,) = error["details"]
    assert detail["type"] == "tensorhop.v1.Fault"
    return fault_pb2.Fault.FromString(base64.b64decode(detail["value"] + "=="))


def behave(behaviour: str) -> dict[str, Any]:
    """A request to the fake pipeline."""
    return {"requestId": behaviour, "image": {"encoded": "AAAA"}}


@pytest.fixture(scope="module")
def faked() -> Iterator[tuple[FakePipeline, str]]:
    with serving() as (fake, address, _):
        yield fake, address


@pytest.fixture(scope="module")
def remotes(servers: Any) -> Iterator[Remotes]:
    connected = Remotes({name: server.address for name, server in servers.items()})
    yield connected
    connected.close()


def direct(remotes: Remotes, name: str, method: str, request: Any) -> list[Any]:
    """The answers over gRPC."""
    packet = Packet(request, Payloads.inside())
    return [type(one.message).FromString(encode(one)) for one in remotes[name].call(method, packet)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_the_library_s_client_gets_what_a_grpc_client_gets(
    http: str, remotes: Remotes, codec: str, protocol: ProtocolType
) -> None:
    with ConnectClientSync(f"http://{http}", codec=CODECS[codec], protocol=protocol) as client:
        for request in VALID[FINISH]:
            answer = client.execute_unary(request=request, method=FINISHES)
            assert [answer] == direct(remotes, "postprocess", "Postprocess", request)
        request = VALID[SCORE][0]
        assert list(client.execute_server_stream(request=request, method=SCORES)) == direct(
            remotes, "quality", "Score", request
        )
        with pytest.raises(ConnectError) as caught:
            client.execute_unary(request=FINISHES.input(), method=FINISHES)
        assert caught.value.code is Code.INVALID_ARGUMENT
        (detail,) = caught.value.details
        fault = fault_pb2.Fault.FromString(detail.message_bytes)
        assert (fault.service, fault.field, fault.message) == ("postprocess", "photo", caught.value.message)


def test_lines_and_events_have_the_messages_of_the_stream(http: str, remotes: Remotes) -> None:
    request = MessageToDict(VALID[SCORE][0])
    expected = [MessageToDict(one) for one in direct(remotes, "quality", "Score", VALID[SCORE][0])]
    assert len(expected) > 1
    lines = ask(http, SCORE, request)
    assert (lines.status, lines.headers["content-type"]) == (200, "application/x-ndjson")
    assert [json.loads(line) for line in lines.body.splitlines()] == expected
    events = ask(http, SCORE, request, Accept="text/event-stream")
    assert events.headers["content-type"] == "text/event-stream"
    read = [json.loads(block.removeprefix("data: ")) for block in events.body.decode().strip().split("\n\n")]
    assert read == expected
    refused = ask(http, SCORE, request, Accept="image/png")
    assert (refused.status, "x-ndjson" in refused.json["detail"]) == (406, True)


def test_every_method_has_its_route(http: str) -> None:
    for name, service in services().items():
        for method in service.descriptor.methods:
            answer = ask(http, f"/{service.descriptor.full_name}/{method.name}", {"noSuchField": 1})
            assert (answer.status, answer.json["code"]) == (400, "invalid_argument"), name
            assert fault_of(answer.json).field == "noSuchField"
    assert call(http, "POST", "/tensorhop.v1.DetectService/Nothing", b"{}", JSON).status == 404
    assert call(http, "GET", SCORE).status == 405
    told = call(http, "POST", SCORE, b"", {"Content-Type": "application/proto"})
    assert (told.status, "application/connect+proto" in told.json["detail"]) == (415, True)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"image": {"encode": "AA"}}, "image.encode"),
        ({"boxes": [{"x0": 1}, {"x2": 1}]}, "boxes[1].x2"),
        ({"boxes": [{"x0": "far"}]}, "boxes.x0"),
        ({"finish": {"shadow": {"kind": "SHADOW_KIND_NONE_SUCH"}}}, "finish.shadow.kind"),
        ({"image": {"encoded": 5}}, "image.encoded"),
        ([], "request"),
        ({"phrases": [None]}, "phrases"),
    ],
)
def test_json_that_is_no_such_message_is_refused_by_its_field(http: str, request_: Any, field: str) -> None:
    told = ask(http, PROCESS, request_)
    assert (told.status, fault_of(told.json).field) == (400, field)
    assert told.json["message"].startswith(field)


def test_a_stream_that_fails_says_so_before_or_after_its_first_answer(faked: tuple[FakePipeline, str]) -> None:
    _, address = faked
    before = ask(address, PROCESS, behave("busy"))
    assert (before.status, before.json["code"]) == (429, "resource_exhausted")
    assert (before.headers["content-type"], before.headers["retry-after"]) == ("application/json", "3")
    assert ask(address, PROCESS, behave("wrong"), Accept="text/event-stream").json["code"] == "invalid_argument"
    *answers, last = ask(address, PROCESS, behave("breaks")).body.splitlines()
    assert [next(iter(json.loads(line))) for line in answers] == ["requestId"] * 2
    error = json.loads(last)["error"]
    assert (error["code"], error["message"]) == ("unavailable", "segment has gone")
    assert fault_of(error).step == fault_pb2.STEP_SEGMENT
    events = ask(address, PROCESS, behave("breaks"), Accept="text/event-stream").body
    ((name, told),) = events_of(events[events.index(b"event: ") :])
    assert (name, told) == ("error", error)


def test_the_request_id_and_the_deadline_go_along(faked: tuple[FakePipeline, str]) -> None:
    fake, address = faked
    answer = ask(address, PROCESS, {"image": {"encoded": "AAAA"}}, X_Request_Id="mine", Connect_Timeout_Ms="30000")
    assert answer.headers["x-request-id"] == "mine"
    assert 0 < fake.seconds[-1] <= 30
    late = ask(address, PROCESS, behave("waits"), Connect_Timeout_Ms="300")
    assert late.body.splitlines()[-1].startswith(b'{"error": {"code": "deadline_exceeded"')
    assert ask(address, PROCESS, behave("x"), Connect_Timeout_Ms="-1").json["code"] == "invalid_argument"


def test_a_client_that_leaves_cancels_its_call(faked: tuple[FakePipeline, str]) -> None:
    fake, address = faked
    while fake.entered.acquire(blocking=False):
        pass
    fake.left.clear()
    connection = HTTPConnection(address, timeout=30)
    connection.request("POST", PROCESS, json.dumps(behave("waits")), JSON)
    assert fake.entered.acquire(timeout=GUARD)
    connection.close()
    assert fake.left.wait(GUARD)


@contextmanager
def limited(fake: str, tmp_path: Path, **limits: Any) -> Iterator[str]:
    """An HTTP server that wants a token, and lets pages of one origin call, with limits of its own."""
    (tmp_path / "tokens").write_text("secret\n")
    security = Security(token_file=str(tmp_path / "tokens"))
    server = HttpServer("127.0.0.1:0", fake, ("https://shop.example",), security, Settings(**limits))
    yield server.address
    server.stop(1).wait()


def test_tokens_origins_and_sizes_are_those_of_the_other_routes(tmp_path: Path) -> None:
    with limited("127.0.0.1:9", tmp_path, max_upload_bytes=1000) as address:
        anonymous = ask(address, PROCESS, behave("x"))
        assert (anonymous.status, anonymous.json["code"]) == (401, "unauthenticated")
        assert anonymous.headers["www-authenticate"] == "Bearer"
        token = {"Authorization": "Bearer secret"}
        assert ask(address, PROCESS, behave("x"), **token).json["code"] == "unavailable"  # nobody is there
        evil = ask(address, PROCESS, behave("x"), **token, Origin="https://evil.example")
        assert evil.json["code"] == "permission_denied"
        large = ask(address, PROCESS, behave("x" * 2000), **token)
        assert (large.status, large.json["code"]) == (429, "resource_exhausted")
        assert "1,000" in large.json["message"]
        bomb = gzip.compress(json.dumps(behave("x" * 100_000)).encode())
        unary = "/tensorhop.v1.DetectService/Detect"
        told = call(address, "POST", unary, bomb, {**JSON, **token, "Content-Encoding": "gzip"})
        assert (told.status, told.json["message"].split(";")[0]) == (429, "the request has over 1,000 bytes")
        for broken in (bomb[:30], b"{}"):
            told = call(address, "POST", unary, broken, {**JSON, **token, "Content-Encoding": "gzip"})
            assert told.json["message"].startswith("request is no gzip")
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "content-type,connect-protocol-version,connect-timeout-ms"
        preflight = call(address, "OPTIONS", PROCESS, None, asked)
        assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, "https://shop.example")


def test_envelopes_that_lie_are_refused(faked: tuple[FakePipeline, str]) -> None:
    _, address = faked
    body = json.dumps(behave("x")).encode()
    for start in (struct.pack(">BI", 0, len(body) + 1), struct.pack(">BI", 1, len(body)), b"\xff\0\0\0\1", b"\0"):
        kind = {"Content-Type": "application/connect+json"}
        answer = call(address, "POST", PROCESS, start + body, kind)
        assert answer.status == 200  # as the protocol has it: the error ends the stream
        assert json.loads(answer.body[5:])["error"]["code"] == "invalid_argument"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "find_spec", lambda name: None)
    server = HttpServer("127.0.0.1:0", "127.0.0.1:9")
    try:
        told = ask(server.address, PROCESS, behave("x"))
        assert (told.status, told.json["code"]) == (501, "UNIMPLEMENTED")
        assert "connectrpc" in told.json["detail"]
    finally:
        server.stop(1).wait()

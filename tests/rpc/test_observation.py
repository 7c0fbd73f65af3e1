"""One line of log a call, with the id of its request, and nothing of what it carried."""

import json
import logging
import threading
import time

import grpc
import pytest
from waiting import GUARD

from tensorhop.observe.logs import JsonFormatter
from tensorhop.request_id import REQUEST_ID
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.interceptors.observation import NO_ID, id_of
from tensorhop.rpc.server import Server
from tensorhop.v1 import image_pb2, pipeline_pb2, segment_pb2, segment_pb2_grpc
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "tensorhop")
    return lambda: [record.call for record in caplog.records if hasattr(record, "call")]


def process(client, photo, **options):
    """By postprocess alone."""
    return list(client.process(photo, masks=[photo[..., 0]], **options))


def segment_badly(servers, request=segment_pb2.SegmentRequest(), **options):  # noqa: B008  (never changed)
    with open_channel(servers["segment"].address) as channel:
        stub = segment_pb2_grpc.SegmentServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            list(stub.Segment(request, timeout=20, **options))


def test_each_call_of_a_request_has_its_id(lines, client, coffee):
    process(client, coffee, request_id="mug-7")
    assert {line["method"].rpartition("/")[2] for line in lines()} == {"Process", "Postprocess"}
    for line in lines():
        assert (line["request_id"], line["code"]) == ("mug-7", "OK")
        assert line["seconds"] > 0


def test_an_id_that_the_pipeline_made_is_logged_too(lines, client, coffee):
    process(client, coffee)
    (made,) = {line["request_id"] for line in lines()}
    assert made not in ("", NO_ID)


def test_a_failed_call_says_its_code(lines, servers):
    segment_badly(servers, metadata=[(REQUEST_ID, "r9")])
    ((code, request_id),) = [(line["code"], line["request_id"]) for line in lines()]
    assert (code, request_id) == ("INVALID_ARGUMENT", "r9")


class Endless:
    """Streams until nobody reads on."""

    def __init__(self):
        self.left = threading.Event()

    def Segment(self, packet, context):
        context.add_callback(self.left.set)
        yield Packet(segment_pb2.SegmentResponse(), Payloads())
        self.left.wait(GUARD)
        yield Packet(segment_pb2.SegmentResponse(), Payloads())


def test_a_call_that_its_caller_leaves_is_cancelled(lines, servers):
    server = Server(servers["segment"].service, Endless(), "127.0.0.1:0")
    with open_channel(server.address) as channel:
        call = segment_pb2_grpc.SegmentServiceStub(channel).Segment(segment_pb2.SegmentRequest(), timeout=20)
        next(call)
        call.cancel()
    server.stop(20).wait(GUARD)
    deadline = time.monotonic() + 20
    while not lines() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [line["code"] for line in lines()] == ["CANCELLED"]


def test_neither_bytes_nor_tokens_are_logged(caplog, servers):
    caplog.set_level(logging.DEBUG)
    request = segment_pb2.SegmentRequest(image=image_pb2.Image(encoded=b"MARKED" * 100))
    segment_badly(servers, request, metadata=[("authorization", "Bearer SECRET")])
    assert "Segment" in caplog.text
    assert "MARKED" not in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("given", ["", "a\nb", "é", "x" * 129])
def test_an_id_that_is_not_fit_to_print_is_none(given):
    packet = Packet(pipeline_pb2.ProcessRequest(request_id=given), Payloads())
    assert id_of(packet) == NO_ID
    assert id_of(ValueError("no request"), "mine") == "mine"


def test_a_line_for_machines():
    call = {"method": "m", "code": "OK", "seconds": 0.5, "request_id": 'q"'}
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "a\nb %s", "args": ("c",), "call": call})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {"level": "INFO", "logger": "n", "message": "a\nb c", **call}


def test_an_exception_for_machines():
    try:
        raise ValueError("broken")
    except ValueError as error:
        record = logging.makeLogRecord({"exc_info": (ValueError, error, error.__traceback__)})
    assert "ValueError: broken" in json.loads(JsonFormatter().format(record))["exception"]

"""What Prometheus gets to see, over HTTP, after real calls."""

import json
import re
import socket
import urllib.request
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tensorhop.errors import ServiceFault
from tensorhop.observe.metrics import serve_metrics
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.v1 import segment_pb2, segment_pb2_grpc

METRIC = re.compile(r"\b(?:tensorhop|process)_\w+")


@pytest.fixture(scope="module")
def scrape():
    """What the process says now: the value by name and labels."""
    port = serve_metrics("127.0.0.1:0")

    def values():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    return values


@pytest.fixture
def grown(scrape):
    """How much a counter has grown since the test began."""
    before = scrape()
    return lambda *key: scrape().get(key, 0) - before.get(key, 0)


def finish(client, photo, **options):
    """By postprocess alone."""
    return list(client.process(photo, masks=[photo[..., 0]], **options))


def test_calls_by_method_and_code(grown, client, coffee):
    finish(client, coffee)
    with pytest.raises(ServiceFault):
        finish(client, coffee, max_objects=-1)
    assert grown("tensorhop_calls_total", "OK", "Process", "pipeline") == 1
    assert grown("tensorhop_calls_total", "INVALID_ARGUMENT", "Process", "pipeline") == 1
    assert grown("tensorhop_calls_total", "OK", "Postprocess", "postprocess") == 1
    assert grown("tensorhop_call_seconds_count", "Process", "pipeline") == 2
    assert grown("tensorhop_calls_under_way", "pipeline") == 0


def test_calls_that_are_refused_or_left(grown, servers, tmp_path):
    (tmp_path / "tokens").write_text("secret")
    server = Server(
        servers["segment"].service,
        object.__new__(Nothing),
        "127.0.0.1:0",
        Security(token_file=str(tmp_path / "tokens")),
    )
    with open_channel(server.address, security=Security()) as channel, pytest.raises(grpc.RpcError):
        list(segment_pb2_grpc.SegmentServiceStub(channel).Segment(segment_pb2.SegmentRequest(), timeout=20))
    server.stop(0).wait()
    assert grown("tensorhop_calls_total", "Segment", "UNAUTHENTICATED", "segment") == 1


class Nothing:
    def Segment(self, packet, context):
        yield from ()


def test_the_cache_the_model_and_its_queue(grown, scrape, client, coffee):
    photo = coffee[::2, ::2].copy()  # which no other test has sent
    for hits in (0, 1):
        list(client.process(photo, boxes=[(20, 20, 200, 150)]))
        assert grown("tensorhop_cache_requests_total", "miss", "segment") == 1
        assert grown("tensorhop_cache_requests_total", "hit", "segment") == hits
    assert grown("tensorhop_batch_size_sum", "segment") == 1
    assert grown("tensorhop_queue_seconds_count", "segment") == 1
    loads = {key: value for key, value in scrape().items() if key[0] == "tensorhop_model_load_seconds"}
    assert any("segment" in key and value > 0 for key, value in loads.items())


def test_bytes_by_transport_and_shared_memory(grown, scrape, client, coffee):
    finish(client, coffee)
    assert grown("tensorhop_payload_bytes_total", "shared_memory") > coffee.nbytes
    assert grown("tensorhop_payload_bytes_total", "message") > coffee.nbytes, "from the client, and the picture back"
    now = scrape()
    assert now["tensorhop_shared_memory_bytes", "reserved"] >= coffee.nbytes
    assert now["tensorhop_shared_memory_bytes", "reserved"] > now["tensorhop_shared_memory_bytes", "lent"] >= 0


def test_the_dashboard_asks_for_what_there_is(scrape, client, cat):
    list(client.process(cat))  # a metric with labels is there from its first value on
    text = (Path(__file__).parents[2] / "deploy" / "grafana" / "tensorhop.json").read_text()
    asked = {
        name
        for panel in json.loads(text)["panels"]
        for target in panel["targets"]
        for name in METRIC.findall(target["expr"])
    }
    assert len(asked) > 8
    assert asked <= {name for name, *_ in scrape()}


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:{}"])
def test_an_address_that_cannot_be_had(address):
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(OSError, match=r"HOST:PORT|metrics cannot be at"),
    ):
        serve_metrics(address.format(other.getsockname()[1]))


def test_how_many_replicas_are_wanted(scrape, client, coffee):
    finish(client, coffee)
    now = scrape()
    assert 0 < now["tensorhop_desired_replicas", "postprocess"] < 2
    assert now["tensorhop_desired_replicas", "pipeline"] == 0, "no call is under way"

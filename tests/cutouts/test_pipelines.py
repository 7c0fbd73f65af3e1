"""Several pipelines behind one name, with one cache in Redis."""

from contextlib import ExitStack, closing
from subprocess import Popen

import numpy as np

from bench_chain import instant
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.rpc.registry import services
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.values.output_options import Output
from tensorhop.values.results import ObjectResult, Summary

CACHED = {"describe": 1, "detect": 1, "segment": instant.OBJECTS}


def test_what_one_pipeline_has_cached_the_others_find(
    redis_server: tuple[Popen[bytes], str], coffee: np.ndarray
) -> None:
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
                closing(Steps.connect(CUTOUTS, addresses, settings=Settings(cache=redis_server[1])))
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

"""Services in Ray Serve on a cluster of two nodes: `make test-ray`."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("ray.serve")

from slow_segment import FOLDER, SLOW_SEGMENT

from bench_peers.ray_cluster import ROOT, cluster
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.client.steps import StepClient
from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.retries import Retry
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.settings import Settings
from tensorhop.values.geometry import Box
from tensorhop.values.results import ObjectFault, ObjectResult, Summary

GUARD = 300.0
Running = tuple[str, dict[str, Callable[[], None]]]  # the proxy's address; what kills a node, by its id


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Security:
    file = tmp_path_factory.mktemp("security") / "tokens"
    file.write_text("secret\n")
    return Security(token_file=str(file))


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the slow model says on which nodes it works."""
    return tmp_path_factory.mktemp("at-work")


@pytest.fixture(scope="module")
def running(secured: Security, at_work: Path) -> Iterator[Running]:
    with cluster(2, **{"TENSORHOP_TOKEN_FILE": secured.token_file, FOLDER: str(at_work)}) as made:
        yield made


@pytest.fixture(scope="module")
def addresses(running: Running) -> dict[str, str]:
    """The four steps in Ray, an application each."""
    from ray import serve
    from ray.serve.schema import ServeDeploySchema
    from tensorhop_ray.application import build

    config = ServeDeploySchema.model_validate(yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text()))
    for one in config.applications:
        assert one.import_path == f"{build.__module__}:{build.__name__}"
        serve.run(build(one.args), name=one.name, route_prefix=one.route_prefix)
    assert [one.name for one in config.applications] == list(PIPELINE.calls)
    return {one.name: f"ray://{running[0]}/{one.name}" for one in config.applications}


@contextlib.contextmanager
def pipeline(addresses: Mapping[str, str], security: Security, **settings: Any) -> Iterator[PipelineClient]:
    """A client of a pipeline that calls these services, with a token."""
    steps = Steps.connect(PIPELINE, addresses, security, Settings(**settings))
    server = Server(PIPELINE, PIPELINE.make_servicer(steps), "127.0.0.1:0", Security())
    try:
        with PipelineClient(server.address, security=Security()) as client:
            yield client
    finally:
        server.stop(0).wait()
        steps.close()


def results(client: PipelineClient, photo: np.ndarray) -> tuple[list[ObjectResult], Summary]:
    """Each object in its order, and the summary. Fails if one was lost."""
    *events, summary = client.process(photo)
    assert isinstance(summary, Summary)
    assert summary.faults == 0, [event for event in events if isinstance(event, ObjectFault)]
    objects = [event for event in events if isinstance(event, ObjectResult)]
    return sorted(objects, key=lambda one: one.detection.index), summary


def assert_same(found: list[ObjectResult], expected: list[ObjectResult]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.picture is not None
        assert other.picture is not None
        assert (one.detection, one.placement) == (other.detection, other.placement)
        assert one.picture.region == other.picture.region
        assert np.array_equal(one.picture.pixels, other.picture.pixels)


def models(summary: Summary) -> dict[str, tuple[str, str]]:
    return {step.step: (step.model, step.digest) for step in summary.steps}


def test_the_cut_outs_are_those_of_our_own_servers(
    addresses: dict[str, str], secured: Security, client: PipelineClient, cat: np.ndarray, coffee: np.ndarray
) -> None:
    with pipeline(addresses, secured) as through_ray:
        for photo in (cat, coffee):
            found, summary = results(through_ray, photo)
            expected, own = results(client, photo)
            assert_same(found, expected)
            assert models(summary) == models(own)
            assert {step.transport for step in summary.steps} == {"message"}
            again, summary = results(through_ray, photo)
            assert_same(again, expected)
            cached = {step.step for step in summary.steps if step.cached}
            assert cached == {"describe", "detect", "segment"}, "by the digests that the applications tell"


def test_a_fault_arrives_with_its_details(addresses: dict[str, str], secured: Security, cat: np.ndarray) -> None:
    with StepClient(addresses, security=secured) as steps:
        assert steps.describe(cat).text
        assert steps.segment(cat, [Box(0, 0, 300, 300)])[0].alpha.any()
        with pytest.raises(ServiceFault) as caught:
            steps.detect(cat, " ")
    fault = caught.value.fault
    assert (caught.value.code, fault.service, fault.retryable) == ("INVALID_ARGUMENT", "detect", False)
    assert fault.field.startswith("phrases")


def test_a_call_without_a_token_is_refused(addresses: dict[str, str], cat: np.ndarray) -> None:
    with StepClient(addresses, security=Security()) as steps:
        for call in (lambda: steps.describe(cat), lambda: steps.segment(cat, [Box(0, 0, 300, 300)])):
            with pytest.raises(ServiceFault, match="wants a token") as caught:
                call()
            assert caught.value.code == "UNAUTHENTICATED"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def replicas(application: str) -> int:
    from ray import serve

    (deployment,) = serve.status().applications[application].deployments.values()
    return int(deployment.replica_states.get("RUNNING", 0))


def test_replicas_follow_the_load(running: Running, secured: Security, cat: np.ndarray) -> None:
    from ray import serve
    from tensorhop_ray.application import application_of

    scaling = {
        **{"min_replicas": 1, "max_replicas": 3, "target_ongoing_requests": 1, "look_back_period_s": 2},
        **{"upscale_delay_s": 1, "downscale_delay_s": 3},
    }
    serve.run(application_of(SLOW_SEGMENT, autoscaling_config=scaling), name="scaled", route_prefix="/scaled")
    assert replicas("scaled") == 1
    enough = threading.Event()
    with (
        StepClient({"segment": f"ray://{running[0]}/scaled"}, security=secured) as steps,
        ThreadPoolExecutor(4) as pool,
    ):

        def load() -> int:
            asked = 0
            while not enough.is_set():
                assert steps.segment(cat, [Box(0, 0, 300, 300)])[0].alpha.any()
                asked += 1
            return asked

        callers = [pool.submit(load) for _ in range(4)]
        try:
            until(lambda: replicas("scaled") == 3)
        finally:
            enough.set()
        assert all(caller.result(GUARD) for caller in callers)
    until(lambda: replicas("scaled") == 1)
    serve.delete("scaled")


def test_a_killed_node_loses_nothing(
    running: Running,
    secured: Security,
    at_work: Path,
    client: PipelineClient,
    servers: dict[str, Server],
    coffee: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last test: it ends with one node less."""
    from ray import serve
    from tensorhop_ray.application import application_of

    placed = {"num_cpus": 1, "resources": {"place": 0.6}}  # one on each node
    serve.run(application_of(SLOW_SEGMENT, num_replicas=2, ray_actor_options=placed), name="slow", route_prefix="/slow")
    addresses = {name: server.address for name, server in servers.items()} | {"segment": f"ray://{running[0]}/slow"}
    photos = [np.ascontiguousarray(coffee[row:]) for row in range(8)]
    expected = [results(client, photo)[0] for photo in photos]
    tried_again: list[str] = []
    wait = Retry._wait

    def noted(self: Retry, error: ServiceFault, *args: Any) -> None:
        tried_again.append(error.fault.message)
        wait(self, error, *args)

    monkeypatch.setattr(Retry, "_wait", noted)
    ((node, kill),) = running[1].items()
    for file in at_work.iterdir():
        file.unlink()
    with pipeline(addresses, secured, cache="none") as through_ray, ThreadPoolExecutor(8) as pool:
        found = [pool.submit(results, through_ray, photo) for photo in photos]
        until((at_work / node).exists)
        kill()
        for one, other in zip(found, expected, strict=True):
            assert_same(one.result(GUARD)[0], other)
    assert tried_again, "calls were under way on the node that was killed"
    assert any("replica in Ray failed" in message for message in tried_again)

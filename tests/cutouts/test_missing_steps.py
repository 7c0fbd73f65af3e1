"""The pipeline says which of its steps is missing, everywhere where somebody may ask, and works on without it."""

import json
from collections.abc import Iterator

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from http_caller import QUICK, call, oval, post
from typer.testing import CliRunner

from tensorhop.healthcheck import lack
from tensorhop.orchestrator.chain import steps as chain_steps
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.registry import services
from tensorhop.rpc.security import nothing_answers
from tensorhop.rpc.server import Server
from tensorhop.web.serve import HttpServer

STEPS = PIPELINE.calls
STATUS = health_pb2.HealthCheckResponse


@pytest.fixture
def pipeline(servers: dict[str, Server], request: pytest.FixtureRequest, tmp_path) -> Iterator[tuple[str, dict]]:
    """Its address, and where it calls the steps: those that the parameter names are not there."""
    told = {name: f"unix:{tmp_path}/{name}" if name in request.param else servers[name].address for name in STEPS}
    steps = Steps.connect(PIPELINE, told)
    server = Server(PIPELINE, PIPELINE.make_servicer(steps), "127.0.0.1:0")
    yield server.address, told
    server.stop(0).wait()
    steps.close()


@pytest.mark.parametrize("pipeline", [("segment",), ("describe", "detect", "segment", "postprocess")], indirect=True)
def test_what_is_missing_is_told(pipeline: tuple[str, dict[str, str]]) -> None:
    address, told = pipeline
    expected = [f"{name}: {nothing_answers(told[name])}" for name in STEPS if told[name].startswith("unix:")]
    with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name, status in (("", STATUS.SERVING), (PIPELINE.descriptor.full_name, STATUS.SERVING), ("readiness", 2)):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == status
    assert lack(address) == f"{address} is not ready: {'; '.join(expected)}"
    http = HttpServer("127.0.0.1:0", address)
    try:
        ready = call(http.address, "GET", "/readyz")
        assert (ready.status, ready.json["detail"]) == (503, f"the pipeline is not ready: {'; '.join(expected)}")
        assert call(http.address, "GET", "/healthz").status == 200
        if not told["postprocess"].startswith("unix:"):  # what does not need the missing step goes on
            assert post(http.address, QUICK, masks=[oval()]).status == 200
        asked = ["--pipeline", address, "--http", http.address, "--only", "pipeline", "--only", "http", "--json"]
        result = CliRunner().invoke(app, ["status", *asked])
    finally:
        http.stop(0).wait()
    assert result.exit_code == 1
    found = {one["service"]: one for one in json.loads(result.stdout)["services"]}
    assert (found["pipeline"]["health"], found["pipeline"]["message"]) == ("NOT_READY", "; ".join(expected))
    assert (found["http"]["health"], expected[0] in found["http"]["message"]) == ("NOT_SERVING", True)


@pytest.mark.parametrize("pipeline", [("postprocess",)], indirect=True)
def test_a_step_that_comes_back_makes_it_ready(
    pipeline: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_steps, "MISSING_SECONDS", 0.05)
    address, told = pipeline
    with open_channel(address) as channel:
        stub, wanted = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest(service="readiness")
        watch = stub.Watch(wanted, timeout=60)
        assert next(watch).status == STATUS.NOT_SERVING
        postprocess = services()["postprocess"]
        server = Server(postprocess, postprocess.load(), told["postprocess"])
        assert next(watch).status == STATUS.SERVING
        server.stop(0).wait()
        assert next(watch).status == STATUS.NOT_SERVING


def test_many_who_ask_at_once_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    class Step:
        def missing(self) -> str:
            looks.append("")
            return ""

    monkeypatch.setattr(chain_steps, "Step", Step)
    missing = chain_steps.MissingSteps({"one": Step(), "two": Step()})  # type: ignore[dict-item]
    assert [missing.now() for _ in range(50)] == [{"one": "", "two": ""}] * 50
    assert len(looks) == 2

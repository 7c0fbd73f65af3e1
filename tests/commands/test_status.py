"""`tensorhop status` against real servers: those that serve, one that is down, one that drains, and a wrong one."""

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2
from rich.console import Console
from typer.testing import CliRunner
from waiting import GUARD

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.commands import status
from tensorhop.orchestrator.commands.status_table import model_of, uptime, view
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.rpc.server import Server
from tensorhop.services.postprocess.service import SERVICE as POSTPROCESS
from tensorhop.v1 import model_pb2

pytestmark = pytest.mark.slow

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def pipeline(servers: dict[str, Server]) -> str:
    return servers["pipeline"].address


@pytest.fixture
def other() -> Iterator[Server]:
    """A postprocess of a test's own."""
    with serving_postprocess("127.0.0.1:0") as server:
        yield server


@contextmanager
def serving_postprocess(address: str) -> Iterator[Server]:
    server = Server(POSTPROCESS, POSTPROCESS.load(), address)
    yield server
    server.stop(0).wait()


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """An address at which nobody listens."""
    return f"unix:{tmp_path}/socket"


def run(*arguments: str) -> tuple[int, dict]:
    """The exit code and what --json says."""
    done = CliRunner().invoke(app, ["status", "--json", *arguments])
    return done.exit_code, json.loads(done.stdout)


def test_all_serve_and_the_pipeline_says_where(pipeline: str, servers: dict[str, Server]) -> None:
    code, found = run("--pipeline", pipeline)
    assert code == 0
    assert found["serving"]
    assert {one["service"]: one["address"] for one in found["services"]} == {
        name: servers[name].address for name in ("pipeline", *PIPELINE.calls)
    }
    assert [one["service"] for one in found["services"]] == ["pipeline", *PIPELINE.calls]
    assert {one["health"] for one in found["services"]} == {"SERVING"}
    models = {one["service"]: one["model"] for one in found["services"]}
    assert models["pipeline"] is models["postprocess"] is None
    assert (models["segment"]["name"], len(models["segment"]["digest"])) == ("embedded", 64)
    assert "u2netp" in models["segment"]["revision"]


def test_calls_latency_and_transport_are_those_of_a_request(pipeline: str, client: PipelineClient, cat: object) -> None:
    def found() -> dict[str, status.Status]:
        return {one.service: one for one in status.look({"pipeline": pipeline})}

    before = found()
    events = client.process(cat, phrases=["cat"], cache=False)
    next(events)
    assert found()["pipeline"].info.calls.under_way == before["pipeline"].info.calls.under_way + 1
    list(events)
    after = found()
    for name in ("detect", "segment", "postprocess"):
        assert after[name].info.calls.ended > before[name].info.calls.ended
        assert after[name].info.calls.seconds > before[name].info.calls.seconds
        assert after[name].transport == ("shared_memory" if sys.platform == "linux" else "message")
    assert after["describe"].info.calls == before["describe"].info.calls, "it was not asked"
    facts = after["segment"].facts()
    assert facts["latency_seconds"]["last"] > 0
    assert facts["queue"] == {"waiting": 0, "most": 512}
    assert after["pipeline"].facts()["queue"] is None


def test_one_that_is_down(pipeline: str, nowhere: str) -> None:
    code, found = run("--pipeline", pipeline, "--segment", nowhere)
    assert code == 1
    assert not found["serving"]
    health = {one["service"]: one["health"] for one in found["services"]}
    assert health.pop("segment") == "UNAVAILABLE"
    assert set(health.values()) == {"SERVING"}
    segment = found["services"][3]
    assert segment["address"] == nowhere
    assert segment["message"] == f"nothing answers at {nowhere}; start it with tensorhop up"
    assert segment["model"] is segment["calls"] is segment["transport"] is None, "nothing is said of what is not known"


def test_one_that_drains(pipeline: str, other: Server) -> None:
    other._health.set("tensorhop.v1.PostprocessService", NOT_SERVING)
    code, found = run("--pipeline", pipeline, "--postprocess", other.address)
    assert code == 1
    assert found["services"][4]["health"] == "NOT_SERVING"
    assert found["services"][4]["calls"]["ended"] == 0, "it still says how it fares"
    assert found["services"][4]["transport"] is None, "the pipeline calls another"


def test_another_service_at_the_address(pipeline: str, other: Server) -> None:
    code, found = run("--pipeline", pipeline, "--detect", other.address)
    assert code == 1
    assert found["services"][2]["health"] == "NOT_FOUND"
    assert "not detect" in found["services"][2]["message"]


def test_only_is_asked_where_the_pipeline_calls_it(pipeline: str, servers: dict[str, Server]) -> None:
    code, found = run("--pipeline", pipeline, "--only", "detect")
    assert code == 0
    assert [one["address"] for one in found["services"]] == [servers["detect"].address]


def test_only_without_a_pipeline(other: Server, nowhere: str) -> None:
    code, found = run("--pipeline", nowhere, "--only", "postprocess", "--postprocess", other.address)
    assert code == 0
    assert len(found["services"]) == 1


def test_wait_until_it_serves(nowhere: str) -> None:
    seen = []
    looked = threading.Event()

    def find() -> list[status.Status]:
        (found,) = status.look({"pipeline": nowhere, "postprocess": nowhere}, ["postprocess"])
        seen.append(found.health)
        looked.set()
        return [found]

    thread = threading.Thread(target=status.wait, args=(find, 30))
    thread.start()
    assert looked.wait(GUARD)
    with serving_postprocess(nowhere):
        thread.join(GUARD)
    assert (seen[0], seen[-1]) == ("UNAVAILABLE", "SERVING")


def test_wait_that_is_over(nowhere: str) -> None:
    code, found = run("--pipeline", nowhere, "--only", "pipeline", "--wait", "300ms")
    assert code == 1
    assert not found["serving"]


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("1.5", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert status.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3s", "3 days", "s", "1e9", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(WrongUse, match="30s"):
        status.parse_duration(text)


def test_wrong_use() -> None:
    assert CliRunner().invoke(app, ["status", "--wait", "3s", "--watch"]).exit_code == 2
    assert CliRunner().invoke(app, ["status", "--wait", "soon"]).exit_code == 2


def test_the_table_says_it_for_people(pipeline: str, nowhere: str, servers: dict[str, Server]) -> None:
    statuses = status.look({"pipeline": pipeline, "describe": nowhere})
    printed = io.StringIO()
    Console(width=120, file=printed).print(view(statuses, 120))
    text = printed.getvalue()
    for name in ("pipeline", *PIPELINE.calls):
        assert name in text
    assert servers["segment"].address in text
    assert f"embedded {statuses[3].info.model.digest[:12]}" in text
    assert text.count("UNAVAILABLE") == 1
    assert "0/512" in text
    assert "\ndescribe: " in text, "and why"


def test_a_commit_is_cut_and_a_name_is_whole() -> None:
    model = model_pb2.Model(name="org/net", revision="0123456789abcdef0123456789abcdef01234567", digest="f" * 64)
    assert model_of(model) == f"org/net {'f' * 12}\n0123456789ab"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3700, "1 h 1 min"), (90000, "1 d 1 h")]
)
def test_uptime(seconds: float, text: str) -> None:
    assert uptime(seconds) == text


def watching(pipeline: str) -> subprocess.Popen:
    command = [
        sys.executable,
        "-P",
        "-m",
        "tensorhop.orchestrator",
        "status",
        "--watch",
        "--json",
        "--pipeline",
        pipeline,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_watch_goes_on_until_ctrl_c(pipeline: str) -> None:
    with watching(pipeline) as process:
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=GUARD)
    assert [look["serving"] for look in looks] == [True, True]
    assert looks[0]["services"][0]["uptime_seconds"] < looks[1]["services"][0]["uptime_seconds"]
    assert (process.returncode, errors) == (0, b"")

"""`tensorhop up` and `tensorhop serve`: processes of their own, supervised, and stopped cleanly."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from http_caller import call

from tensorhop.client import PipelineClient
from tensorhop.orchestrator.launch.processes import children
from tensorhop.rpc.registry import ports
from tensorhop.settings import Settings
from tensorhop.values.results import Summary

CAT = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"
HOST = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.1"  # loopback, but not localhost: its ports are free


@contextmanager
def tensorhop(*arguments: str, cwd: Path, until: bytes) -> Iterator[subprocess.Popen]:
    """The command, from when it has printed `until`; killed at the end if it still runs."""
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", *arguments]
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE)
    try:
        read_until(process, until)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def read_until(process: subprocess.Popen, text: bytes) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"{text!r} was not printed")


def children_of(pid: int) -> dict[str, int]:
    """Process id of each child, by the service that it serves."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"PPid:\t{pid}\n" in (entry / "status").read_text():
            words = (entry / "cmdline").read_bytes().split(b"\0")
            found[words[words.index(b"serve") + 1].decode()] = int(entry.name)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may still wait for whoever has to take note of it."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def cut_out(endpoint: str) -> Summary:
    with PipelineClient(endpoint) as client:
        *_, summary = client.process(CAT, phrases=["cat"])
    assert isinstance(summary, Summary)
    return summary


def poison(folder: Path) -> None:
    """Folders with the names of ours, which break whoever imports them."""
    for name in ("services", "tensorhop.orchestrator", "tensorhop", "web"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('the wrong folder was imported')")


@pytest.mark.parametrize("mode", [[], ["--one-process"]], ids=["processes", "one process"])
def test_up_serves_and_stops_cleanly(tmp_path: Path, mode: list[str]) -> None:
    poison(tmp_path)
    with tensorhop("up", "--host", HOST, *mode, cwd=tmp_path, until=b"ready") as process:
        assert cut_out(f"{HOST}:{ports()['pipeline']}").objects == 1
        assert call(f"{HOST}:{ports()['http']}", "GET", "/readyz").json == {"status": "ready"}
        children = children_of(process.pid)
        assert sorted(children) == ([] if mode else sorted(ports()))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())


def test_children_get_their_parents_settings_and_a_port_each_for_metrics() -> None:
    settings = Settings(max_calls=3, token_file="tokens", metrics="127.0.0.1:9100")
    found = children({"pipeline": f"{HOST}:1", "detect": f"{HOST}:2"}, {}, settings)
    environments = {child.name: child.settings.environment() for child in found}
    for name, environment in environments.items():
        assert (environment["TENSORHOP_MAX_CALLS"], environment["TENSORHOP_TOKEN_FILE"]) == ("3", "tokens")
        assert environment["TENSORHOP_METRICS"] == f"127.0.0.1:{9100 + list(ports()).index(name)}"


def test_options_of_up_reach_its_children(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        metrics = free.getsockname()[1] - list(ports()).index("postprocess")
    arguments = ["--only", "postprocess", "--metrics", f"{HOST}:{metrics}", "--log-format", "json"]
    with tensorhop("up", "--host", HOST, *arguments, cwd=tmp_path, until=b"ready") as process:
        (child,) = children_of(process.pid).values()
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        assert b"TENSORHOP_LOG_FORMAT=json" in environment
        address = f"{HOST}:{metrics + list(ports()).index('postprocess')}"
        assert b"tensorhop" in call(address, "GET", "/metrics").body


def test_a_child_that_died_is_started_again(tmp_path: Path) -> None:
    with tensorhop("up", "--host", HOST, cwd=tmp_path, until=b"ready") as process:
        killed = children_of(process.pid)["postprocess"]
        os.kill(killed, signal.SIGKILL)
        read_until(process, b"postprocess ended")
        deadline = time.monotonic() + 30
        while children_of(process.pid).get("postprocess", killed) == killed:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with grpc.insecure_channel(f"{HOST}:{ports()['postprocess']}") as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30, wait_for_ready=True)
        assert cut_out(f"{HOST}:{ports()['pipeline']}").faults == 0


def test_children_do_not_outlive_their_parent(tmp_path: Path) -> None:
    with tensorhop("up", "--host", HOST, "--only", "postprocess", cwd=tmp_path, until=b"ready") as process:
        (child,) = children_of(process.pid).values()
        process.kill()
        deadline = time.monotonic() + 30
        while is_alive(child):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_only_what_was_asked_for_starts(tmp_path: Path) -> None:
    with tensorhop("up", "--host", HOST, "--only", "postprocess", cwd=tmp_path, until=b"ready") as process:
        assert sorted(children_of(process.pid)) == ["postprocess"]


def test_up_takes_an_ipv6_address_without_brackets(tmp_path: Path) -> None:
    with tensorhop("up", "--host", "::1", "--only", "postprocess", cwd=tmp_path, until=b"[::1]:") as process:
        assert sorted(children_of(process.pid)) == ["postprocess"]


def test_up_refuses_a_host_with_a_port(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "up", "--host", f"{HOST}:50050"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "without a port" in " ".join(refused.stderr.split())


def test_up_says_when_a_port_is_taken(tmp_path: Path) -> None:
    with tensorhop(
        "serve", "postprocess", "--listen", f"{HOST}:{ports()['postprocess']}", cwd=tmp_path, until=b"serves"
    ):
        command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "up", "--host", HOST, "--only", "postprocess"]
        done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"cannot listen" in done.stderr


@pytest.mark.parametrize("name", ["describe", "detect", "segment", "postprocess"])
def test_a_service_starts_as_a_module_too(tmp_path: Path, name: str) -> None:
    address = f"unix:{tmp_path}/socket"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", f"tensorhop.services.{name}", "--listen", address],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    read_until(process, b"serves")
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=f"tensorhop.v1.{name.capitalize()}Service")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_serve_pipeline_takes_addresses(tmp_path: Path) -> None:
    where = {name: f"unix:{tmp_path}/{name}" for name in ("detect", "segment", "postprocess", "pipeline")}
    from tensorhop.orchestrator.launch.in_process import one_process

    steps = {name: address for name, address in where.items() if name != "pipeline"}
    arguments = [word for name, address in steps.items() for word in (f"--{name}", address)]
    with (
        one_process(steps),
        tensorhop("serve", "pipeline", "--listen", where["pipeline"], *arguments, cwd=tmp_path, until=b"serves"),
    ):
        assert cut_out(where["pipeline"]).objects == 1


def test_an_unknown_model_is_wrong_use(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "serve", "detect", "--model", "nonsense"]
    done = subprocess.run(command, capture_output=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2
    assert b"nonsense" in done.stderr
    assert b"embedded" in done.stderr

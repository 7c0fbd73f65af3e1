"""`tensorhop up` and `tensorhop serve`: processes of their own, supervised, and stopped cleanly."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from http_caller import call
from waiting import GUARD, wait_for

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.orchestrator.commands.up_command import STARTED
from tensorhop.orchestrator.launch import processes
from tensorhop.orchestrator.launch.processes import children
from tensorhop.rpc.registry import ports
from tensorhop.rpc.security import Security
from tensorhop.rpc.server import Server
from tensorhop.services.postprocess.service import SERVICE as POSTPROCESS
from tensorhop.settings import Settings
from tensorhop.values.results import Summary

pytestmark = pytest.mark.slow

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
            process.wait(GUARD)


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
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
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
        assert sorted(children) == ([] if mode else sorted(STARTED))
        process.send_signal(signal.SIGINT)
        assert process.wait(GUARD) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())


def test_children_get_their_parents_settings_and_a_port_each_for_metrics() -> None:
    settings = Settings(max_calls=3, token_file="tokens", metrics="127.0.0.1:9100")
    found = children({"pipeline": f"{HOST}:1", "detect": f"{HOST}:2"}, {}, settings)
    environments = {child.name: child.settings.environment() for child in found}
    for name, environment in environments.items():
        assert (environment["TENSORHOP_MAX_CALLS"], environment["TENSORHOP_TOKEN_FILE"]) == ("3", "tokens")
        assert environment["TENSORHOP_METRICS"] == f"127.0.0.1:{9100 + list(ports()).index(name)}"


def test_chains_and_http_are_told_where_the_others_are() -> None:
    where = {name: f"{HOST}:{number}" for number, name in enumerate(("upscale", "pipeline", "detect", "http"), 1)}
    told = {child.name: child.command[4:] for child in children(where, {})}
    assert told["pipeline"] == ["--detect", where["detect"]]
    pairs = dict(zip(told["http"][::2], told["http"][1::2], strict=True))
    assert pairs == {f"--{name}": address for name, address in where.items() if name != "http"}


@pytest.mark.parametrize("mode", [[], ["--one-process"]], ids=["processes", "one process"])
def test_up_serves_with_many_options_at_once(tmp_path: Path, mode: list[str]) -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        metrics = free.getsockname()[1] - len(ports())
    (tmp_path / "tokens").write_text("secret\n")
    arguments = ["--metrics", f"{HOST}:{metrics}", "--log-format", "json", "--cache", "none", "--token-file", "tokens"]
    arguments += ["--closed-health", "--no-reflection", "--no-shm", "--allow-path", ".", "--device", "cpu"]
    with tensorhop("up", "--host", HOST, *mode, *arguments, cwd=tmp_path, until=b"ready; Ctrl-C") as process:
        children = children_of(process.pid)
        for child in children.values():
            environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            assert b"TENSORHOP_LOG_FORMAT=json" in environment
        for number in [list(ports()).index(name) for name in children] or [0]:
            assert b"tensorhop" in call(f"{HOST}:{metrics + number}", "GET", "/metrics").body
        assert call(f"{HOST}:{ports()['http']}", "GET", "/readyz").json == {"status": "ready"}
        with PipelineClient(
            f"{HOST}:{ports()['pipeline']}", security=Security(token_file=f"{tmp_path}/tokens")
        ) as client:
            *_, summary = client.process(CAT, phrases=["cat"])
        assert summary.objects == 1


def test_what_a_child_is_refused_is_told_by_its_name(tmp_path: Path) -> None:
    """As only the child finds out: what the user typed, no usage of a command that nobody typed, and who it was."""
    network = Path(__file__).parents[2] / "services" / "embedded" / "weights" / "u2netp.onnx"
    (tmp_path / "net.onnx").write_bytes(network.read_bytes()[:1000])
    command = up_command("--only", "segment", "--model", "segment=net.onnx")
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    first, *_, last = refused.stderr.splitlines()
    assert first.startswith("segment: --model net.onnx cannot be run by ONNX Runtime")
    assert last == "Error: segment could not start; its message is above"
    assert "Usage" not in refused.stderr
    assert "python" not in refused.stderr


def test_a_child_that_died_is_started_again(tmp_path: Path) -> None:
    with tensorhop("up", "--host", HOST, cwd=tmp_path, until=b"ready") as process:
        killed = children_of(process.pid)["postprocess"]
        os.kill(killed, signal.SIGKILL)
        read_until(process, b"postprocess ended")
        wait_for(lambda: children_of(process.pid).get("postprocess", killed) != killed)
        with grpc.insecure_channel(f"{HOST}:{ports()['postprocess']}") as channel:
            health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=GUARD, wait_for_ready=True
            )
        assert cut_out(f"{HOST}:{ports()['pipeline']}").faults == 0


def up_command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "tensorhop.orchestrator", "up", "--host", HOST, *arguments]


def test_of_two_that_start_at_once_one_serves(tmp_path: Path) -> None:
    """The other says so, and ends; it neither takes the first's servers for its own nor disturbs them."""
    command = up_command("--only", "postprocess", "--only", "http", "--only", "pipeline")
    both = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    wait_for(lambda: any(one.poll() is not None for one in both))
    loser, winner = sorted(both, key=lambda one: one.poll() is None)
    try:
        assert loser.stderr is not None
        assert loser.wait() == 1
        said = loser.stderr.read()
        assert "is in use: another `tensorhop up`" in said
        assert "ready" not in said
        assert winner.stderr is not None
        assert any("ready" in line for line in winner.stderr)
        assert sorted(children_of(winner.pid)) == ["http", "pipeline", "postprocess"]
    finally:
        winner.send_signal(signal.SIGTERM)
        winner.wait(GUARD)


def test_the_health_of_a_stranger_is_not_that_of_the_child() -> None:
    """A server that came between the look at the port and the child's start."""
    stranger = Server(POSTPROCESS, SimpleNamespace(Postprocess=None), f"{HOST}:0")
    (child,) = children({"postprocess": stranger.address}, {})
    try:
        child.start()
        assert processes.answers("postprocess", stranger.address)
        assert not child.serves()
        while not child.ended:
            assert not child.serves()
            time.sleep(0.05)
        assert child.process is not None
        assert child.process.returncode == 1
    finally:
        processes.stop([child])
        stranger.stop(0).wait()


class Enough(BaseException):
    """Ends a supervision that a test has seen enough of."""


def program(*code: str) -> processes.Child:
    """A child that is a few lines of Python."""

    class Program(processes.Child):
        def start(self) -> None:
            self.process = subprocess.Popen([sys.executable, "-c", *code], stdin=subprocess.PIPE)

    return Program("program", "", [], Settings())


def test_supervision_outlives_its_own_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be made for a while, and nobody reads what is said."""
    monkeypatch.setattr(processes, "FIRST_BACKOFF", 0.01)
    one, other = program("pass"), program("input()")
    one.backoff = other.backoff = 0.01
    starts, told = 0, []
    start = one.start

    def failing() -> None:
        nonlocal starts
        starts += 1
        if starts <= 2:
            raise OSError("Resource temporarily unavailable")
        start()

    def say(message: str) -> None:
        told.append(message)
        if len(told) == 4:
            raise Enough
        raise BrokenPipeError

    monkeypatch.setattr(one, "start", failing)
    other.start()
    try:
        with pytest.raises(Enough):
            processes.supervise([one, other], say)
        assert [message.partition(":")[0] for message in told[:2]] == ["program cannot be started"] * 2
        assert "ended with code 0" in told[2]
        assert not other.ended
    finally:
        processes.stop([one, other])


def test_restarts_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pipes, nor zombies, nor the shared memory of an owner that was killed."""
    child = program("pass")
    child.settings, child.backoff = Settings(shm_dir=str(tmp_path)), 0.0
    monkeypatch.setattr(processes, "LAST_BACKOFF", 0.0)
    seen: list[tuple[int, int, int]] = []

    def say(message: str) -> None:
        files = len(list(Path("/proc/self/fd").iterdir()))
        ours = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        seen.append((files, threading.active_count(), len(ours)))
        (tmp_path / f"tensorhop-{len(seen):032x}").touch()  # as one has that was killed
        if len(seen) == 5:
            raise Enough

    with pytest.raises(Enough):
        processes.supervise([child], say)
    processes.stop([child])
    assert len({*seen}) == 1
    assert not list(tmp_path.iterdir())


def test_children_do_not_outlive_their_parent(tmp_path: Path) -> None:
    with tensorhop("up", "--host", HOST, "--only", "postprocess", cwd=tmp_path, until=b"ready") as process:
        (child,) = children_of(process.pid).values()
        process.kill()
        wait_for(lambda: not is_alive(child))


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
    assert process.wait(GUARD) == 0


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

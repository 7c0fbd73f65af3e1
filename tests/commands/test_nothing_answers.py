"""Where nothing runs, every command and client says so in the same sentence, with the address and what to do."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from http_caller import call
from typer.testing import CliRunner

from tensorhop import PipelineClient, ServiceFault
from tensorhop.healthcheck import failure, lack
from tensorhop.orchestrator.chain.steps import Step
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.commands.up_command import started_with
from tensorhop.rpc import registry
from tensorhop.rpc.registry import ports, services
from tensorhop.rpc.security import nothing_answers, unanswered
from tensorhop.rpc.service import Service
from tensorhop.web.serve import HttpServer

pytestmark = pytest.mark.slow

CAT = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"


def by_client(address: str) -> str:
    with PipelineClient(address, retry=False) as client, pytest.raises(ServiceFault) as caught:
        list(client.process(CAT))
    return str(caught.value)


def by_http(address: str) -> str:
    server = HttpServer("127.0.0.1:0", address)
    try:
        return call(server.address, "GET", "/readyz").json["detail"]
    finally:
        server.stop().wait()


WAYS: dict[str, Callable[[str], str]] = {
    "run": lambda address: command("run", str(CAT), "--out", "out", "--endpoint", address),
    **{
        f"status {name}": lambda address, name=name: command("status", "--only", name, f"--{name}", address)
        for name in ports()
    },
    "healthcheck": failure,
    "readiness": lack,
    "a chain": lambda address: Step(services()["segment"], address).missing(),
    "client": by_client,
    "http": by_http,
}


def command(*words: str) -> str:
    return " ".join(CliRunner(env={"COLUMNS": "500"}).invoke(app, words).output.split())


@pytest.mark.parametrize("way", WAYS)
def test_the_sentence_is_the_same(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for address in (f"localhost:{port}", "unix:none"):
        if (way, address) == ("status http", "unix:none"):
            continue
        said = WAYS[way](address)
        assert f"nothing answers at {address}; start it with tensorhop up" in said
        assert "UNKNOWN" not in said
        assert "ipv" not in said


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *((one, "tensorhop up") for one in ("http", "pipeline", "describe", "postprocess")),
        *((one, "tensorhop up --chain views") for one in ("views", "preprocess", "quality", "interpolate", "upscale")),
    ],
)
def test_the_command_starts_what_is_missing(name: str, command: str) -> None:
    address = f"localhost:{ports()[name]}"
    assert nothing_answers(address) == f"nothing answers at {address}; start it with {command}"
    assert name in started_with([command.rpartition(" ")[2]] if "--chain" in command else [])


def test_a_service_of_no_chain_is_served_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Service("alone", "package.stubs:Alone", "package.servicer:Alone", port=50999)
    monkeypatch.setattr(registry, "services", lambda: services() | {"alone": alone})
    assert nothing_answers("unix:/run/50999") == "nothing answers at unix:/run/50999; start it with tensorhop up"
    assert nothing_answers("127.0.0.5:50999").endswith("; start it with tensorhop serve alone")


def test_elsewhere_it_is_asked_whether_it_runs() -> None:
    assert nothing_answers("gpu-box:50053") == "nothing answers at gpu-box:50053; is it running?"
    for details in (
        "errors resolving gpu-box:50053: [field:hostname lookup error:address lookup failed for gpu-box:50053: "
        "Domain name not found]",
        "DNS resolution failed for gpu-box:50053: C-ares status is not ARES_SUCCESS: Domain name not found",
    ):
        assert unanswered(details) == "gpu-box:50053 names no known host"


@pytest.mark.parametrize(
    ("details", "address"),
    [
        ("ipv4:127.0.0.1:50050: Failed to connect to remote host: Connection refused", "localhost:50050"),
        ("ipv6:%5B::1%5D:50050: Failed to connect to remote host: Connection refused", "localhost:50050"),
        ("ipv4:127.0.0.5:50050: Failed to connect to remote host: Connection refused (111)", "127.0.0.5:50050"),
        ("ipv4:10.0.0.2:50053: Failed to connect to remote host: connect: Connection refused", "10.0.0.2:50053"),
        ("ipv6:%5B2001:db8::1%5D:50053: Failed to connect: Connection refused", "[2001:db8::1]:50053"),
        ("unix:/tmp/none: connect failed: addr: unix:/tmp/none error: No such file or directory", "unix:/tmp/none"),
    ],
)
def test_the_address_is_read_from_the_words_of_grpc(details: str, address: str) -> None:
    for beginning in ("failed to connect to all addresses", "connections to all backends failing"):
        assert unanswered(f"{beginning}; last error: UNKNOWN: {details}") == nothing_answers(address)
    assert not unanswered(details), "of a connection that was there"


def test_another_cause_keeps_its_words() -> None:
    timeout = "failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:1: FD Shutdown"
    assert unanswered(timeout) == ""
    assert unanswered("Socket closed") == ""

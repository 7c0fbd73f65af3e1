"""`tensorhop serve http`: where it listens, how it ends, and what it says without its libraries."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_pipeline import serving
from http_caller import call, post
from typer.testing import CliRunner
from waiting import GUARD

from tensorhop.extras import install_command
from tensorhop.orchestrator import cli
from tensorhop.orchestrator.commands import serve_command
from tensorhop.rpc.server import Server
from tensorhop.web.serve import HttpServer, listen

COMMAND = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "serve", "http"]


def test_the_command_serves_and_ends_on_sigterm(servers: dict[str, Server]) -> None:
    arguments = ["--listen", "127.0.0.1:0", "--pipeline", servers["pipeline"].address]
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "http serves on" in line)
        assert call(line.split()[-1], "GET", "/readyz").json == {"status": "ready"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD) == 0


def test_an_address_that_is_taken_is_refused(http: str) -> None:
    with pytest.raises(OSError, match="http cannot listen on"):
        HttpServer(http, "127.0.0.1:9")


def test_it_listens_on_a_socket_of_the_file_system(tmp_path: Path) -> None:
    for _ in range(2):  # the second finds what the first has left
        sockets, address = listen(f"unix:{tmp_path}/http")
        assert address == f"unix:{tmp_path}/http"
        sockets[0].close()


def test_localhost_is_both_of_its_addresses() -> None:
    sockets, address = listen("localhost:0")
    ports = {one.getsockname()[1] for one in sockets}
    assert {f"localhost:{port}" for port in ports} == {address}
    assert "127.0.0.1" in [one.getsockname()[0] for one in sockets]
    for one in sockets:
        one.close()


@pytest.mark.parametrize("command", [["serve", "http"], ["up", "--only", "http"]])
def test_without_the_extra_one_sentence_says_what_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_command, "find_spec", lambda name: None if name == "uvicorn" else True)
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 1
    assert done.output == f"Error: HTTP needs Starlette and uvicorn; install them with: {install_command('http')}\n"


def test_a_unix_socket_is_gone_with_its_server(tmp_path: Path) -> None:
    server = HttpServer(f"unix:{tmp_path}/socket", "127.0.0.1:9")
    assert (tmp_path / "socket").is_socket()
    server.stop(1).wait()
    assert not (tmp_path / "socket").exists()


@pytest.mark.parametrize("timeout", ["1e10", "1e300"])
def test_a_very_long_timeout_is_one(timeout: str) -> None:
    with serving() as (fake, address, _):
        assert post(address, {"request_id": "r", "timeout": timeout}).status == 200
        assert fake.seconds[0] is not None
        assert fake.seconds[0] > 86_400


@pytest.mark.parametrize("timeout", ["inf", "nan", "-1", "0"])
def test_what_is_no_timeout_is_refused_by_name(timeout: str) -> None:
    with serving() as (fake, address, _):
        answer = post(address, {"timeout": timeout})
        assert (answer.status, answer.json["field"]) == (400, "timeout")
        assert post(address, headers={"X-Request-Timeout": timeout}).json["field"] == "X-Request-Timeout"
        assert not fake.requests

"""Every option of `tensorhop up` with every service that it starts, in processes of their own and in one.

Both lists are the command's own, so a new option or service is tried too. Each child's words and environment go through
what the child itself does with them; only servers, models and signals are left out.
"""

import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tensorhop.models.sources import ModelChoice
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.commands import serve_command, up_command
from tensorhop.orchestrator.commands.up_command import STARTED
from tensorhop.orchestrator.launch import child, in_process, processes
from tensorhop.orchestrator.views.service import SERVICE as VIEWS
from tensorhop.rpc import server
from tensorhop.rpc.service import Service
from tensorhop.serving import command, shutdown
from tensorhop.settings import Settings, current_settings, use_settings, variable_of

pytestmark = pytest.mark.slow

UP: Any = typer.main.get_command(app)
OPTIONS = {option.name: option.opts[0] for option in UP.commands["up"].params}
TLS = ["--tls-cert", "cert", "--tls-key", "key", "--tls-ca", "ca"]
# What is given to try an option; flags need nothing, and some options need others beside them.
GIVEN = {
    "jobs_dir": ["."],
    "jobs_redis": ["redis://localhost:6379"],
    "jobs_parallel": ["2"],
    "webhook_secret_file": ["secret"],
    "host": ["127.0.0.2"],
    "only": ["segment", "--only", "http"],
    "chain": ["views"],
    "model": ["segment=u2net"],
    "device": ["cpu"],
    "dtype": ["detect=float32"],
    "revision": ["segment=v1", "--model", "segment=birefnet"],
    "trust_remote_code": ["--model", "segment=owner/name", "--revision", "segment=v1"],
    "accept_license": ["--model", "segment=rmbg-2.0"],
    "shm_dir": ["."],
    "allow_path": ["."],
    "allow_write": ["."],
    "tls_ca": ["ca"],
    "tls_cert": TLS[1:],
    "tls_key": ["key", *TLS[:2], *TLS[4:]],
    "token_file": ["tokens"],
    "require_client_cert": TLS,
    "open_health": ["--token-file", "tokens"],
    "open_reflection": ["--token-file", "tokens"],
    "metrics": ["localhost:9100"],
    "log_format": ["json"],
    "cache": ["none"],
    "record": ["records"],
    "record_sample": ["0.1"],
    "record_pixels": ["none"],
    "record_bytes": ["2g"],
    "record_age": ["12h"],
    "shadow_model": [__file__],  # any file: nothing is loaded here
    "shadow_model_range": ["-1,1", "--shadow-model", __file__],
    "quality_prompt": [__file__],
    "quality_scale": ["10", "--quality-prompt", __file__],
}


@dataclass(frozen=True)
class Started:
    """What a service was started with."""

    address: str
    choice: ModelChoice | None
    settings: tuple[tuple[str, Any], ...]


@pytest.fixture
def started(security_files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Started]]:
    """What is started by name, by everything that starts services; nothing is."""
    found: dict[str, Started] = {}
    choices: dict[str, ModelChoice | None] = {}

    def start(service: Service | str, servicer: object, address: str, *_: object) -> SimpleNamespace:
        name = service if isinstance(service, str) else service.name
        assert name not in found
        found[name] = Started(address, choices.get(name), tuple(current_settings()))
        return SimpleNamespace(address=address, stop=lambda *_: SimpleNamespace(wait=lambda: None))

    monkeypatch.setattr(Service, "load", lambda self, choice=None: choices.update({self.name: choice}))
    monkeypatch.setattr(server, "Server", start)
    monkeypatch.setattr(in_process, "Server", start)
    for module in (serve_command, up_command):
        monkeypatch.setattr(module, "start_http", lambda address, *_: start("http", None, address))
        monkeypatch.setattr(module, "start_observing", lambda name: None)
    monkeypatch.setattr(command, "start_observing", lambda name: None)
    monkeypatch.setattr(shutdown, "run_until_signal", lambda servers, ready: None)
    monkeypatch.setattr(up_command, "announce", lambda addresses: None)
    monkeypatch.setattr(processes, "start", lambda children, pause: [run(one, monkeypatch) for one in children])
    monkeypatch.setattr(processes, "claims", lambda addresses: nullcontext())  # real ones may be up beside this
    monkeypatch.setattr(processes, "supervise", lambda children, say, pause: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    use_settings(None)
    yield found
    use_settings(None)


def run(one: processes.Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child's process does with its environment and its words."""
    with monkeypatch.context() as environment:
        for name, value in one.settings.environment().items():
            environment.setenv(name, value)
        use_settings(None)
        assert child.serve(one.command) == 0, one.command


def up(started: dict[str, Started], *words: str) -> dict[str, Started]:
    started.clear()
    use_settings(None)
    done = CliRunner().invoke(app, ["up", *words])
    assert done.exit_code == 0, done.output
    return dict(started)


@pytest.mark.parametrize("mode", [[], ["--one-process"]], ids=["processes", "one process"])
@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_service_starts_with_every_option(started: dict[str, Started], name: str, mode: list[str]) -> None:
    plain = up(started, *mode)
    assert set(plain) == set(STARTED)
    told = up(started, *mode, OPTIONS[name], *GIVEN.get(name, []))
    expected = {"only": {"segment", "http"}, "chain": {*STARTED, "views", *VIEWS.calls}, "jobs": {*STARTED, "jobs"}}
    assert set(told) == expected.get(name, set(STARTED))
    assert name == "one_process" or told != plain, "it is for something"
    if name in Settings.model_fields:
        default = Settings.model_fields[name].default
        assert all(dict(one.settings)[name] != default for one in told.values()), "for every service"


def test_every_option_is_tried_by_a_value() -> None:
    flags = {option.name for option in UP.commands["up"].params if option.is_flag}
    assert set(GIVEN) | flags == set(OPTIONS)


def test_metrics_have_a_port_for_each_process(started: dict[str, Started]) -> None:
    told = up(started, "--metrics", "localhost:9100")
    assert len({dict(one.settings)["metrics"] for one in told.values()}) == len(STARTED)


def test_a_port_that_is_none_is_told_as_it_was_typed(started: dict[str, Started]) -> None:
    done = CliRunner().invoke(app, ["up", "--metrics", "localhost:65534"])
    assert done.exit_code == 1
    assert "--metrics is 'localhost:65534'; each process has a port from there on" in done.output


def test_a_childs_message_names_the_service_and_no_module(
    started: dict[str, Started], capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert child.serve(["serve", "http", "--nonsense"]) == 2
    monkeypatch.setenv(variable_of("max_calls"), "many")
    use_settings(None)
    assert child.serve(["serve", "segment", "--device", "gpu1"]) == 2
    said = capfd.readouterr().err
    assert said.splitlines()[0].startswith("http: No such option: --nonsense")
    assert said.splitlines()[1].startswith("segment: TENSORHOP_MAX_CALLS is 'many'")
    assert "python" not in said
    assert "Usage" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--chain", "nothing"], "--chain is 'nothing'; it must be one of views"),
        (["--chain", "segment"], "--chain is 'segment'; it must be one of views"),
        (["--chain", "views", "--only", "segment"], "--only names all that starts"),
    ],
)
def test_what_is_no_chain_is_refused(started: dict[str, Started], words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["up", *words])
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
    assert not started

"""Options of servers and clients become settings, or a message at once."""

import os

import pytest
import typer
from typer.testing import CliRunner

from tensorhop.rpc.security import Security
from tensorhop.serving.settings_options import SERVER, client_options, pipeline_options, server_options
from tensorhop.settings import current_settings, use_settings


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No variable is set, and what a command sets is gone after the test."""
    for name in SERVER:
        monkeypatch.delenv(f"TENSORHOP_{name.upper()}", raising=False)
    use_settings(None)
    yield
    use_settings(None)


def run(decorator, *words):
    """The outcome of a command with an option of its own, and what it was called with."""
    app, called = typer.Typer(), []

    @app.command()
    @decorator
    def command(own: str = "default") -> None:
        called.append((own, Security.of(), current_settings().metrics, current_settings().log_format))

    return CliRunner().invoke(app, words), called


def test_without_options_nothing_is_set():
    _, called = run(server_options, "--own", "x")
    assert called == [("x", Security(), "", "text")]


def test_options_go_before_the_environment(monkeypatch):
    monkeypatch.setenv("TENSORHOP_METRICS", "127.0.0.1:8")
    monkeypatch.setenv("TENSORHOP_LOG_FORMAT", "json")
    _, called = run(server_options, "--metrics", "127.0.0.1:9")
    assert called == [("default", Security(), "127.0.0.1:9", "json")]


def test_options_become_settings_of_children_too(security_files):
    words = ["--tls-cert", "cert", "--tls-key", "key", "--tls-ca", "ca", "--token-file", "tokens"]
    words += ["--require-client-cert", "--closed-health", "--open-reflection", "--no-reflection"]
    _, called = run(server_options, *words, "--metrics", "127.0.0.1:9", "--log-format", "json")
    cert, key, ca = (str(security_files / name) for name in ("cert", "key", "ca"))
    security = Security(
        cert, key, ca, True, str(security_files / "tokens"), open_health=False, open_reflection=True, reflection=False
    )
    assert called == [("default", security, "127.0.0.1:9", "json")]
    assert current_settings().environment()["TENSORHOP_TLS_KEY"] == str(security_files / "key")
    assert "TENSORHOP_TLS_KEY" not in os.environ


@pytest.mark.parametrize(
    ("decorator", "words", "message"),
    [
        (server_options, ["--tls-cert", "cert"], "--tls-cert needs --tls-key beside it"),
        (server_options, ["--tls-cert", "cert", "--tls-key", "ca"], "--tls-key"),
        (server_options, ["--require-client-cert"], "--require-client-cert needs"),
        (server_options, ["--token-file", "nothing"], "cannot be read"),
        (client_options, ["--tls-ca", "key"], "holds no certificates"),
        (client_options, ["--tls-cert", "cert", "--tls-key", "key"], "would be plain text"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(security_files, decorator, words, message):
    outcome, called = run(decorator, *words)
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.output.replace("│", " ").split())
    assert not called


def test_a_client_has_no_options_of_servers():
    assert run(client_options, "--metrics", "127.0.0.1:9")[0].exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--record", "tokens"], "--record names"),
        (["--record-sample", "2"], "--record-sample is '2'; it must be at most 1"),
        (["--record-bytes", "many"], "--record-bytes is 'many'; it must be a number of bytes"),
        (["--record-age", "-1"], "--record-age is '-1'; it must be a number with ms, s, m or h"),
    ],
)
def test_where_recordings_go_is_checked_before_anything_starts(security_files, words, message):
    outcome, called = run(pipeline_options, *words)
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.output.replace("│", " ").split())
    assert not called

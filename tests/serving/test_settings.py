"""Settings come from the environment, once, and refuse what cannot be."""

import logging
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tensorhop.errors import InvalidInput
from tensorhop.healthcheck import failure
from tensorhop.orchestrator.cli import app
from tensorhop.rpc.registry import ports
from tensorhop.settings import Settings, current_settings, use_settings, variable_of, warn_of_unknown


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test reads the limits anew, and the next one does so too."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TENSORHOP_{name.upper()}", raising=False)
    use_settings(None)
    yield
    use_settings(None)


def test_ports_in_the_chains_order():
    cutouts = ["describe", "detect", "segment", "postprocess"]
    views = ["preprocess", "interpolate", "upscale", "quality"]
    assert list(ports()) == ["http", "pipeline", "views", *cutouts, *views, "jobs"]
    assert [*ports().values()] == [8080, 50050, 50059, *range(50051, 50059), 50060]


def test_defaults_fit_together():
    default = current_settings()
    assert default.max_message_bytes > 3 * default.max_pixels, "the largest photo must fit into a message"
    assert default.max_side**2 > default.max_pixels


def other_than_default(name):
    """A value of a setting that is not its default."""
    default = getattr(Settings(), name)
    chosen = {"log_format": "json", "record_pixels": "none", "record_sample": 0.5}
    if name in chosen:
        return chosen[name]
    return f"{default}/other" if isinstance(default, str) else not default if isinstance(default, bool) else default + 1


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_limit_is_read_from_its_variable(name, monkeypatch):
    value = other_than_default(name)
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(value))
    assert getattr(current_settings(), name) == value


@pytest.mark.parametrize(
    ("name", "value"), [("shm_bytes", 0), ("keep_buffers", False), ("max_wait_ms", 0), ("allow_path", "")]
)
def test_what_can_be_turned_off(name, value, monkeypatch):
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(int(value) if value != "" else value))
    assert getattr(current_settings(), name) == value


def test_the_environment_is_read_once(monkeypatch):
    before = current_settings().max_boxes
    monkeypatch.setenv("TENSORHOP_MAX_BOXES", str(before + 1))
    assert current_settings().max_boxes == before


def test_settings_that_are_used_go_before_the_environment(monkeypatch):
    monkeypatch.setenv("TENSORHOP_MAX_BOXES", "7")
    use_settings(Settings(max_boxes=8))
    assert current_settings().max_boxes == 8
    use_settings(None)
    assert current_settings().max_boxes == 7


def test_a_child_reads_the_same_settings(monkeypatch):
    told = Settings(**{name: other_than_default(name) for name in Settings.model_fields})
    for name, value in told.environment().items():
        monkeypatch.setenv(name, value)
    assert current_settings() == told != Settings.model_construct()


SIZES = [name for name in Settings.model_fields if name.endswith("_bytes")]
TIMES = [
    "jobs_seconds",
    "webhook_pause",
    "cache_seconds",
    "max_connection_seconds",
    "max_stall_seconds",
    "max_upload_seconds",
    "max_wait_ms",
    "record_age",
    "target_queue_seconds",
]
NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
OFF = ("shm_bytes", "max_wait_ms", "max_connection_seconds", "record_sample")  # where 0 means off


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_is_one_that_is_not_set(name, monkeypatch):
    """Compose and shells give it for ${VARIABLE:-}."""
    default = getattr(Settings(), name)
    monkeypatch.setenv(variable_of(name), "")
    assert getattr(current_settings(), name) == default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in NUMBERS
            for value in ("-1", "many", "1e400", "nan", "inf", "9" * 30, "5 apples", "1,5")
        ),
        *((name, "0") for name in NUMBERS if name not in OFF),
        *((name, value) for name in NUMBERS if name not in SIZES for value in ("1g", "5MiB")),
        *((name, value) for name in NUMBERS if name not in TIMES for value in ("30s", "5ms")),
        *((name, "0.3k") for name in SIZES),
        *(
            (name, value)
            for name, field in Settings.model_fields.items()
            if field.annotation is bool
            for value in ("-1", "many", "maybe")
        ),
        *(("log_format", value) for value in ("0", "-1", "many")),
        ("max_pixels", "178956971"),
        ("max_message_bytes", "2147483648"),
        ("max_message_bytes", "4194303"),
        ("max_message_bytes", "2g"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, value, monkeypatch):
    monkeypatch.setenv(variable_of(name), value)
    with pytest.raises(InvalidInput) as caught:
        current_settings()
    assert str(caught.value).startswith(f"{variable_of(name)} is {value!r}; it ")


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("8388608", 2**23), ("8192k", 2**23), ("8MiB", 2**23), ("8m", 2**23), ("0.5 GiB", 2**29), ("1g", 2**30)),
        *(("9MB", 9_000_000), ("9000000b", 9_000_000), ("1Gi", 2**30)),
    ],
)
def test_sizes_may_have_a_unit(name, text, size, monkeypatch):
    monkeypatch.setenv(variable_of(name), text)
    assert getattr(current_settings(), name) == size


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("cache_seconds", "1h", 3600),
        ("max_upload_seconds", "1.5m", 90.0),
        ("max_upload_seconds", "500ms", 0.5),
        ("max_wait_ms", "5ms", 5),
        ("max_wait_ms", "0.25s", 250),
        ("max_wait_ms", "7", 7),
    ],
)
def test_times_may_have_a_unit(name, text, value, monkeypatch):
    monkeypatch.setenv(variable_of(name), text)
    assert getattr(current_settings(), name) == value


def test_all_that_is_wrong_is_said_at_once(monkeypatch):
    monkeypatch.setenv("TENSORHOP_MAX_CALLS", "abc")
    with pytest.raises(InvalidInput) as caught:
        Settings(max_boxes=0)
    assert "max_boxes is '0'; it must be at least 1; TENSORHOP_MAX_CALLS is 'abc'" in str(caught.value)


COMMANDS = [
    ["serve", "detect"],
    ["serve", "pipeline"],
    ["serve", "http"],
    ["up"],
    ["run", "photo.jpg"],
    ["status"],
    ["bench", "hop"],
    ["bench", "chain"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", [*NUMBERS, "log_format", "reflection"])
def test_every_command_names_it(words, name, monkeypatch):
    monkeypatch.setenv(variable_of(name), "abc")
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert outcome.exit_code in (1, 2)
    told = f"{outcome.output} {outcome.exception}"
    assert f"{variable_of(name)} is 'abc'; it must be" in told
    assert isinstance(outcome.exception, SystemExit | InvalidInput)


@pytest.mark.parametrize(
    "words",
    [["-m", "tensorhop.orchestrator", "bench", "hop"], ["-m", "tensorhop.services.detect"]],
    ids=["the command", "a service"],
)
def test_no_traceback_is_printed(words, monkeypatch):
    monkeypatch.setenv("TENSORHOP_MAX_CALLS", "abc")
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "TENSORHOP_MAX_CALLS is 'abc'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_healthcheck_names_it(monkeypatch, tmp_path):
    (tmp_path / "tokens").write_text("secret")
    monkeypatch.setenv("TENSORHOP_TOKEN_FILE", str(tmp_path / "tokens"))
    monkeypatch.setenv("TENSORHOP_MAX_CALLS", "abc")
    assert failure("127.0.0.1:9").startswith("TENSORHOP_MAX_CALLS is 'abc'")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("metrics", "abc", "--metrics is 'abc'; it must be HOST:PORT"),
        ("metrics", "host:99999", "--metrics is 'host:99999'"),
        ("allow_path", "/no/such/folder", "--allow-path names /no/such/folder, which is no folder"),
        ("shm_dir", "/no/such/folder", "--shm-dir names /no/such/folder, which is no folder"),
        ("tls_ca", "/no/such/file", "--tls-ca names /no/such/file, which cannot be read"),
        ("tls_cert", "/no/such/file", "--tls-cert needs --tls-key beside it"),
        ("token_file", "/no/such/file", "--token-file names /no/such/file, which cannot be read"),
    ],
)
@pytest.mark.parametrize("words_of", [["serve", "detect"], ["serve", "pipeline"], ["up"]], ids=" ".join)
def test_files_and_addresses_are_looked_at_before_anything_starts(name, value, words, words_of, monkeypatch):
    monkeypatch.setenv(variable_of(name), value)
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(app, words_of)
    assert outcome.exit_code == 2
    assert words in outcome.output


def test_other_variables_of_ours_do_no_harm(monkeypatch):
    monkeypatch.setenv("TENSORHOP_ENDPOINT", "localhost:1")
    assert current_settings() == Settings()


def unknown(caplog, monkeypatch, *names):
    """What is said where these variables are set."""
    for name in names:
        monkeypatch.setenv(name, "1")
    warn_of_unknown.cache_clear()
    with caplog.at_level(logging.WARNING):
        current_settings()
        use_settings(None)
        current_settings()
    return caplog.messages


@pytest.mark.parametrize("name", Settings.model_fields)
@pytest.mark.parametrize("typo", [lambda name: name[:-1], lambda name: name.replace("_", ""), lambda name: f"{name}S"])
def test_a_misspelt_variable_is_told_once(name, typo, caplog, monkeypatch):
    written = typo(name.upper())
    if written == name.upper():
        return
    said = unknown(caplog, monkeypatch, f"TENSORHOP_{written}")
    assert said == [f"TENSORHOP_{written} is set, but there is no such setting; did you mean {variable_of(name)}?"]


def test_what_is_not_ours_is_not_told(caplog, monkeypatch):
    kubernetes = ["PIPELINE_SERVICE_HOST", "PIPELINE_SERVICE_PORT_GRPC", "PIPELINE_PORT", "SERVICE_HOST", "PORT"]
    kubernetes += ["PIPELINE_PORT_50050_TCP", "PIPELINE_PORT_50050_TCP_ADDR", "PORT_50050_TCP_PROTO"]
    compose = ["TARGET", "CPUS", "MEMORY", "PUBLISH", "PUBLISH_HTTP", "ENDPOINT"]
    assert unknown(caplog, monkeypatch, *(f"TENSORHOP_{name}" for name in kubernetes + compose)) == []

"""Settings come from the environment, once, and refuse what cannot be."""

import pytest
from pydantic import ValidationError

from tensorhop.rpc.registry import ports
from tensorhop.settings import Settings, settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test reads the limits anew, and the next one does so too."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TENSORHOP_{name.upper()}", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_ports_in_the_chains_order():
    assert list(ports()) == ["http", "pipeline", "describe", "detect", "segment", "postprocess"]
    assert [*ports().values()] == [8080, 50050, 50051, 50052, 50053, 50054]


def test_defaults_fit_together():
    default = settings()
    assert default.max_message_bytes > 3 * default.max_pixels, "the largest photo must fit into a message"
    assert default.max_side**2 > default.max_pixels


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_limit_is_read_from_its_variable(name, monkeypatch):
    default = getattr(Settings(), name)
    value = (
        f"{default}/other" if isinstance(default, str) else not default if isinstance(default, bool) else default + 1
    )
    if name == "log_format":
        value = "json"
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(value))
    assert getattr(settings(), name) == value


@pytest.mark.parametrize(
    ("name", "value"), [("shm_bytes", 0), ("keep_buffers", False), ("max_wait_ms", 0), ("allow_path", "")]
)
def test_what_can_be_turned_off(name, value, monkeypatch):
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(int(value) if value != "" else value))
    assert getattr(settings(), name) == value


def test_the_environment_is_read_once(monkeypatch):
    before = settings().max_boxes
    monkeypatch.setenv("TENSORHOP_MAX_BOXES", str(before + 1))
    assert settings().max_boxes == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, field in Settings.model_fields.items()
        if field.annotation is not str
        for value in ("0", "-1", "many", "")
        if value != "0" or (field.annotation is not bool and name not in ("shm_bytes", "max_wait_ms"))  # it means off
    ],
)
def test_nonsense_is_refused_by_name(name, value, monkeypatch):
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_pixels", 178_956_971), ("max_message_bytes", 2**31), ("max_message_bytes", 4 * 1024 * 1024 - 1)],
)
def test_what_pillow_or_grpc_could_not_keep_is_refused(name, value, monkeypatch):
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(value))
    with pytest.raises(ValidationError, match=name):
        settings()


def test_other_variables_of_ours_do_no_harm(monkeypatch):
    monkeypatch.setenv("TENSORHOP_ENDPOINT", "localhost:1")
    assert settings() == Settings()

"""Settings come from the environment, once, and refuse what cannot be."""

import pytest
from pydantic import ValidationError

from tensorhop.rpc.registry import ports
from tensorhop.settings import Settings, current_settings, use_settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test reads the limits anew, and the next one does so too."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TENSORHOP_{name.upper()}", raising=False)
    use_settings(None)
    yield
    use_settings(None)


def test_ports_in_the_chains_order():
    assert list(ports()) == ["http", "pipeline", "describe", "detect", "segment", "postprocess"]
    assert [*ports().values()] == [8080, 50050, 50051, 50052, 50053, 50054]


def test_defaults_fit_together():
    default = current_settings()
    assert default.max_message_bytes > 3 * default.max_pixels, "the largest photo must fit into a message"
    assert default.max_side**2 > default.max_pixels


def other_than_default(name):
    """A value of a setting that is not its default."""
    default = getattr(Settings(), name)
    if name == "log_format":
        return "json"
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
        current_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_pixels", 178_956_971), ("max_message_bytes", 2**31), ("max_message_bytes", 4 * 1024 * 1024 - 1)],
)
def test_what_pillow_or_grpc_could_not_keep_is_refused(name, value, monkeypatch):
    monkeypatch.setenv(f"TENSORHOP_{name.upper()}", str(value))
    with pytest.raises(ValidationError, match=name):
        current_settings()


def test_other_variables_of_ours_do_no_harm(monkeypatch):
    monkeypatch.setenv("TENSORHOP_ENDPOINT", "localhost:1")
    assert current_settings() == Settings()

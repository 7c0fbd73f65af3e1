"""What `--model` names: found, or refused in one sentence."""

import hashlib

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models import sources
from tensorhop.models.presets import PRESETS
from tensorhop.models.sources import ModelChoice, ModelSource, find_model
from tensorhop.rpc.registry import models as services_with_model

ALL = tuple(sources.NEEDS)


@pytest.fixture
def installed(monkeypatch):
    """As if everything that a backend needs were here."""
    monkeypatch.setattr(sources, "NEEDS", dict.fromkeys(sources.NEEDS, ()))


def test_a_file(tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(b"")
    assert find_model("segment", ModelChoice(str(file)), ALL) == ModelSource(ModelChoice(str(file)), "onnx", file)


@pytest.mark.parametrize(("name", "backend"), [("config.json", "transformers"), ("weights.pth", "groundingdino")])
def test_a_directory(tmp_path, installed, name, backend):
    (tmp_path / name).write_bytes(b"")
    found = find_model("detect", ModelChoice(str(tmp_path)), ALL)
    assert (found.backend, found.path) == (backend, tmp_path)


@pytest.mark.parametrize(
    ("service", "model", "says"),
    [
        ("segment", "nope", "it must be one of embedded, .*birefnet.*, a hub id .*, a directory or an .onnx file"),
        ("segment", "", "it must be one of"),
        ("segment", "../x", "it must be one of"),
        ("segment", "a/b/c", "it must be one of"),
        ("segment", "missing.onnx", "missing.onnx is not a file"),
        ("detect", "birefnet", "birefnet is a model of segment, not of detect"),
        ("segment", "{empty}", "holds neither a config.json .* nor a .pth"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, installed, service, model, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        find_model(service, ModelChoice(model.format(empty=tmp_path)), ALL)
    assert caught.value.field == "--model"


def test_a_backend_that_the_service_does_not_have(tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(b"")
    with pytest.raises(InvalidInput, match="is for onnx, which describe does not have"):
        find_model("describe", ModelChoice(str(file)), ["embedded", "transformers"])


def test_what_is_not_installed_is_said_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "NEEDS", {"transformers": ("no_such_module", "json")})
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"needs no_such_module; install with: .* -m pip install .*'torch>=2.6'"):
        find_model("detect", ModelChoice(str(tmp_path)), ["transformers"])


def test_groundingdino_py_is_installed_by_other_commands(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "NEEDS", {"groundingdino": ("no_such_module",)})
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(
        InvalidInput, match=r"needs no_such_module; install with: .*pip install -r .*--no-deps groundingdino-py"
    ):
        find_model("detect", ModelChoice(str(tmp_path)), ["groundingdino"])


def test_the_digest_is_of_the_weights(tmp_path):
    (tmp_path / "b.safetensors").write_bytes(b"b")
    (tmp_path / "config.json").write_bytes(b"not weights")
    digests = [hashlib.sha256(one).hexdigest() for one in (b"a", b"b")]
    assert ModelSource(ModelChoice("x"), "transformers", tmp_path).digest == digests[1]
    (tmp_path / "a.safetensors").write_bytes(b"a")
    assert (
        ModelSource(ModelChoice("x"), "transformers", tmp_path).digest
        == hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def test_no_weights(tmp_path):
    with pytest.raises(InvalidInput, match="holds no weights"):
        _ = ModelSource(ModelChoice("x"), "transformers", tmp_path).digest


def test_presets_are_of_steps_that_have_models():
    for name, preset in PRESETS.items():
        assert preset.service in services_with_model()
        assert preset.backend in sources.NEEDS
        assert bool(preset.repo) != bool(preset.url), f"{name} comes from one place"
        assert preset.backend != "onnx" or preset.onnx


def test_code_from_the_hub_needs_a_revision(installed):
    with pytest.raises(InvalidInput, match=r"is missing; .* runs code of owner/name") as caught:
        find_model("segment", ModelChoice("owner/name", trust_remote_code=True), ALL)
    assert caught.value.field == "--revision"

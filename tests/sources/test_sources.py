"""What `--model` names: found, or refused in one sentence."""

import hashlib
import re
from collections import Counter
from pathlib import Path

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


@pytest.mark.parametrize(
    ("names", "backend"),
    [
        (("config.json", "model.safetensors"), "transformers"),
        (("config.json", "pytorch_model.bin"), "transformers"),
        (("weights.pth", "configuration.py"), "groundingdino"),
    ],
)
def test_a_directory(tmp_path, installed, monkeypatch, names, backend):
    monkeypatch.setenv("HOME", str(tmp_path))
    files(tmp_path / "net", *names)
    for model in (str(tmp_path / "net"), f"{tmp_path}/net/", "~/net"):
        found = find_model("detect", ModelChoice(model), ALL)
        assert (found.backend, found.path) == (backend, tmp_path / "net")


def files(folder, *names):
    """A folder with empty files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("service", "model", "says"),
    [
        ("segment", "nope", "there is no such folder here; it must be one of embedded, .*birefnet.*, a hub id"),
        ("segment", "", "it must be one of"),
        ("detect", "birefnet", "birefnet is a model of segment, not of detect"),
    ],
)
def test_what_is_no_model_is_refused(installed, service, model, says):
    assert re.search(says, refusal(service, model))


def refusal(service, model):
    with pytest.raises(InvalidInput) as caught:
        find_model(service, ModelChoice(model), services_with_model()[service].models)
    assert caught.value.field == "--model"
    return str(caught.value)


def taken(service):
    backends = services_with_model()[service].models
    if "transformers" in backends:
        return f"{service} takes a folder with config.json"
    return f"{service} takes {'an .onnx file' if 'onnx' in backends else 'its embedded model alone'}"


@pytest.mark.parametrize("service", services_with_model())
@pytest.mark.parametrize(
    "model",
    [
        *("./net", "../net", "/net", "net/", "a/b/net", "~/net", "~nobody/net", "./a/b"),
        *("net.onnx", "a/net.onnx", "net.pth", "a/net.safetensors", "net.bin"),
    ],
)
def test_a_path_that_leads_nowhere_is_said(tmp_path, monkeypatch, service, model):
    """Before anything is asked to be installed; with the place that was looked at, and what there should be."""
    monkeypatch.chdir(tmp_path)
    said = refusal(service, model)
    place = Path(model).expanduser() if model.startswith("~/") else tmp_path / model
    assert f"there is no file or folder {place}" in said or "~nobody" in said
    assert "must be one of" not in said
    assert "~nobody" in said or taken(service) in said


def test_what_may_be_a_hub_id_or_a_folder_is_said(tmp_path, monkeypatch):
    """owner/name where there is no such folder: both are named, whatever stops it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "NEEDS", {"transformers": ("no_such_module",)})
    assert "owner/name (a hub id: there is no such folder here) needs no_such_module" in refusal("detect", "owner/name")
    files(tmp_path / "owner" / "name", "config.json", "model.safetensors")
    assert "--model owner/name needs no_such_module" in refusal("detect", "owner/name")


# By service and files of a folder, what is said of it.
FOLDERS = [
    ("describe", (), r"has no config\.json and no weights \(it has no files\); describe takes a folder"),
    ("detect", ("config.json",), r"has no weights \(it has config\.json\); .* or a folder with one \.pth"),
    ("segment", ("model.safetensors", "net.py"), r"has no config\.json \(it has model\.safetensors, net\.py\)"),
    ("describe", ("model.pth",), r"has no config\.json and no weights \(it has model\.pth\)"),
    ("segment", ("BiRefNet.pth",), r"it has BiRefNet\.pth\); segment takes .*, or an \.onnx file \(docs/segment\.md\)"),
    ("segment", ("net.onnx", "README.md"), r"name a file in it: .*/net\.onnx"),
    ("segment", ("config.json", "onnx/model.onnx"), r"name a file in it: .*/onnx/model\.onnx"),
    ("describe", ("net.onnx",), r"has no config\.json and no weights \(it has net\.onnx\)"),
    ("upscale", ("unet/a", "vae/a"), r"has no \.pkl with OSEDiff's adapters; upscale takes .*, or a folder of Stable"),
    ("segment", tuple("abcdef"), r"it has a, b, c, d \.\.\.\)"),
]


@pytest.mark.parametrize(("service", "names", "says"), FOLDERS)
def test_what_a_folder_lacks_is_said(tmp_path, service, names, says):
    files(tmp_path, *names)
    assert re.search(says, refusal(service, str(tmp_path)))


@pytest.mark.parametrize("service", services_with_model())
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.bin", "net.pt", "net.ckpt", "net.tflite", "net"])
def test_a_file_that_is_no_model_is_told_what_to_do_with(tmp_path, service, name):
    files(tmp_path, name)
    said = refusal(service, str(tmp_path / name))
    assert str(tmp_path / name) in said
    assert taken(service) in said
    assert (tmp_path / name).suffix not in (".pth", ".safetensors") or "holds weights but not their network" in said
    files(tmp_path, "config.json")
    if (tmp_path / name).suffix in (".safetensors", ".bin"):
        assert f"name its folder: {tmp_path}" in refusal(service, str(tmp_path / name))


def test_the_documentation_that_a_message_names_exists():
    for service in services_with_model():
        assert (Path(__file__).parents[2] / "docs" / f"{service}.md").is_file()


def test_a_path_that_cannot_be_read(tmp_path):
    assert "cannot be read" in refusal("segment", "./" + "x" * 300)


def test_a_backend_that_the_service_does_not_have(tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(b"")
    with pytest.raises(InvalidInput, match="is for onnx, which describe does not have"):
        find_model("describe", ModelChoice(str(file)), ["embedded", "transformers"])


def test_what_is_not_installed_is_said_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "NEEDS", {"transformers": ("no_such_module", "json")})
    files(tmp_path, "config.json", "model.safetensors")
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
        assert bool(preset.licence) <= bool(preset.reference), f"the license of {name} has a source"
        assert not preset.noncommercial or preset.licence
        if preset.url:
            kind, _, digest = preset.checksum.partition(":")
            assert len(digest) == 2 * hashlib.new(kind).digest_size


def test_presets_come_from_different_places():
    """Two services may run one repository; no two presets of a service do."""
    places = Counter((preset.service, preset.repo or preset.url) for preset in PRESETS.values())
    assert max(places.values()) == 1


def test_a_license_without_commercial_use_is_named_before_the_download(installed):
    """Nothing is fetched: there is no network in this test."""
    for name, preset in PRESETS.items():
        if preset.noncommercial:
            with pytest.raises(InvalidInput) as caught:
                find_model(preset.service, ModelChoice(name), ALL)
            assert caught.value.field == "--accept-license"
            assert preset.licence in str(caught.value)
            assert preset.reference in str(caught.value)


def test_a_preset_with_its_own_code_is_not_fetched_before_that_is_allowed(installed):
    for name, preset in PRESETS.items():
        if preset.own_code:
            with pytest.raises(InvalidInput, match=preset.repo) as caught:
                find_model(preset.service, ModelChoice(name), ALL)
            assert caught.value.field == "--trust-remote-code"


def test_code_from_the_hub_needs_a_revision(installed):
    with pytest.raises(InvalidInput, match=r"is missing; .* runs code of owner/name") as caught:
        find_model("segment", ModelChoice("owner/name", trust_remote_code=True), ALL)
    assert caught.value.field == "--revision"

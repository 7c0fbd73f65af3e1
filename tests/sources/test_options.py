"""Every option of a model on every kind of model: it has an effect, or it is refused. None is accepted in silence."""

from dataclasses import fields
from typing import Any

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.presets import PRESETS
from tensorhop.models.sources import DTYPES, EMBEDDED, QUANTIZED, QUANTIZES, ModelChoice, check_choice
from tensorhop.rpc.registry import models as services_with_model

TORCH, ONNX = ["cpu", "cuda", "cuda:1"], ["tensorrt", "tensorrt:1", "openvino"]
# Values of each option beside the default; a new option fails the tests until it is here, and in USED.
VALUES: dict[str, list[Any]] = {
    "device": [*TORCH, *ONNX],
    "dtype": list(DTYPES),
    "revision": ["v1"],
    "trust_remote_code": [True],
    "accept_license": [True],
}
OPTIONS = {name: f"--{name.replace('_', '-')}" for name in VALUES}
# By kind of model, which values are used; True for all of an option.
USED: dict[str, dict[str, Any]] = {
    "embedded": {"device": ["cpu"], "dtype": ["float32"]},
    "onnx from the hub": {"device": True, "revision": True},
    "onnx": {"device": True},
    "onnx under a license without commercial use": {"device": True, "accept_license": True},
    "transformers preset with own code": {"device": TORCH, "dtype": True, "revision": True, "trust_remote_code": True},
    "transformers preset under a license without commercial use": {
        "device": TORCH,
        "dtype": True,
        "revision": True,
        "accept_license": True,
    },
    "transformers preset": {"device": TORCH, "dtype": True, "revision": True},
    "hub id": {"device": TORCH, "dtype": True, "revision": True, "trust_remote_code": True},
    "directory": {"device": TORCH, "dtype": True, "trust_remote_code": True},
    "groundingdino": {"device": TORCH, "dtype": ["float32"]},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By kind of model, files of an operator that pass for one."""
    made = tmp_path_factory.mktemp("models")
    for name in ("directory/config.json", "directory/model.safetensors", "groundingdino/net.pth", "onnx/net.onnx"):
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_bytes(b"")
    return {"directory": made / "directory", "groundingdino": made / "groundingdino", "onnx": made / "onnx/net.onnx"}


def models_of(name, folders):
    """By what `--model` names, the kind of each model that a service has."""
    backends = services_with_model()[name].models
    found = {EMBEDDED: "embedded"}
    for preset, about in PRESETS.items():
        if about.service == name:
            kind = "transformers preset" if about.backend == "transformers" else "onnx"
            found[preset] = kind + (
                " under a license without commercial use"
                if about.noncommercial
                else " with own code"
                if about.own_code
                else " from the hub"
                if about.repo and kind == "onnx"
                else ""
            )
    if "transformers" in backends:
        found |= {"owner/name": "hub id", str(folders["directory"]): "directory"}
    return found | {str(folders[kind]): kind for kind in ("onnx", "groundingdino") if kind in backends}


def test_every_option_of_a_model_is_tried():
    assert {one.name for one in fields(ModelChoice)} == {"model", *VALUES}


@pytest.mark.parametrize("service", services_with_model())
def test_every_option_is_used_or_refused(service, folders):
    backends = services_with_model()[service].models
    for model, kind in models_of(service, folders).items():
        check_choice(service, ModelChoice(model), backends)
        for option, values in VALUES.items():
            for value in values:
                used = USED[kind].get(option, [])
                if value in QUANTIZED and service not in QUANTIZES:
                    used = []
                choice = ModelChoice(model, **{option: value})
                if used is True or value in used:
                    check_choice(service, choice, backends)
                    continue
                with pytest.raises(InvalidInput, match="leave it out, or name another --model") as caught:
                    check_choice(service, choice, backends)
                assert caught.value.field == OPTIONS[option]
                assert model in str(caught.value), "which model"


@pytest.mark.parametrize("service", services_with_model())
@pytest.mark.parametrize("device", ["gpu1", "", "CUDA", "cuda:", "cuda:-1", "cuda:x", "1", "cuda:0,1", "mps"])
def test_what_is_no_device_is_refused_for_every_model(service, device, folders):
    for model in models_of(service, folders):
        with pytest.raises(InvalidInput, match="must be auto, cpu, cuda or cuda:N"):
            check_choice(service, ModelChoice(model, device), services_with_model()[service].models)


@pytest.mark.parametrize("service", services_with_model())
@pytest.mark.parametrize("dtype", ["fp16", "int4", "", "FP32", "half"])
def test_what_is_no_dtype_is_refused_for_every_model(service, dtype, folders):
    for model in models_of(service, folders):
        with pytest.raises(InvalidInput, match="must be auto, float32, bfloat16, float16, nf4 or int8"):
            check_choice(service, ModelChoice(model, dtype=dtype), services_with_model()[service].models)


@pytest.mark.parametrize("service", services_with_model())
def test_a_service_checks_the_options_of_its_embedded_model(service):
    """The same check, before anything is loaded."""
    for choice in (ModelChoice(device="cuda:1"), ModelChoice(device="gpu1"), ModelChoice(dtype="float16")):
        with pytest.raises(InvalidInput, match="--d"):
            services_with_model()[service].load(choice)

"""ONNX Runtime with OpenVINO, on the CPU: `make test-openvino`, which puts its wheel in place of onnxruntime."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorhop.models.sources import ModelChoice
from tensorhop.services.embedded import weights
from tensorhop.services.runtime.session import PROVIDERS, open_session, runtimes
from tensorhop.services.segment.service import SERVICE
from tensorhop.values.geometry import Box
from tensorhop.values.images import decode_image

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "coffee.jpg"
NETWORK = weights.FOLDER / "u2netp.onnx"


def test_one_package_brings_onnxruntime():
    assert runtimes() == ("onnxruntime-openvino",)


def test_openvino_runs_the_network():
    assert open_session(NETWORK, "openvino").get_providers()[0] == PROVIDERS["openvino"][0]


def test_masks_are_those_of_the_cpu():
    photo = decode_image(PHOTO.read_bytes())
    box = Box(150.0, 20.0, 560.0, 380.0)
    models: list[Any] = [SERVICE.load_model(ModelChoice(str(NETWORK), device)) for device in ("cpu", "openvino")]
    masks = [model.predict([photo], [box])[0] for model in models]
    assert masks[0].region == masks[1].region
    assert np.abs(masks[0].alpha.astype(int) - masks[1].alpha).max() <= 2, "of 255"


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_this_wheel_lacks_is_refused_before_it_serves(device):
    command = [
        sys.executable,
        "-m",
        "tensorhop.orchestrator",
        "serve",
        "segment",
        "--model",
        str(NETWORK),
        "--device",
        device,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "onnxruntime-gpu" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr

"""Networks on a real Triton server, started by PyTriton in an environment of its own: `make test-oip`."""

import os
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorhop.errors import InvalidInput
from tensorhop.models.sources import ModelChoice
from tensorhop.rpc.registry import services
from tensorhop.services.upscale.options import UpscaleOptions
from tensorhop.values.geometry import Box

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-pytriton/bin/python"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not PYTHON.exists():
        pytest.skip("make test-oip makes the environment")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [PYTHON, Path(__file__).with_name("pytriton_server.py"), str(port)]
    # Triton's own process for Python takes the first libpython3.11 that it finds; it must be that of the environment.
    library = {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR")}
    log = tmp_path_factory.mktemp("triton") / "log"
    with (
        log.open("w") as written,
        subprocess.Popen(
            command, env=os.environ | library, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
        else:
            pytest.fail(log.read_text()[-2000:])
        yield f"oip://127.0.0.1:{port}"
        process.communicate(timeout=60)


def test_segment_by_triton(triton: str, cat: np.ndarray) -> None:
    segmenter: Any = services()["segment"].load_model(ModelChoice(f"{triton}/brightness@1"))
    assert (segmenter.revision, segmenter.largest_batch) == ("1", 4)
    boxes = [Box(100.0, 20.0, 400.0, 290.0), Box(0.0, 0.0, 200.0, 200.0)]
    masks = segmenter.predict([cat, cat], boxes)
    assert all(mask.alpha.max() > 200 for mask in masks)


def test_upscale_by_triton(triton: str, cat: np.ndarray) -> None:
    upscaler: Any = services()["upscale"].load_model(ModelChoice(f"{triton}/doubling"))
    picture = cat[:90, :260] // 2
    (found,) = upscaler.predict([picture], UpscaleOptions(4))
    brighter = np.rint(picture.astype(np.float32) + 51).repeat(4, 0).repeat(4, 1)
    assert found.shape == (360, 1040, 3)
    assert np.abs(found - brighter).max() <= 2


def test_what_triton_does_not_have(triton: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be used: nothing at 127\.0\.0\.1"):
        services()["segment"].load_model(ModelChoice(f"{triton}/nothing"))
    with pytest.raises(InvalidInput, match="a matting network takes"):
        services()["postprocess"].load_model(ModelChoice(f"{triton}/doubling"))

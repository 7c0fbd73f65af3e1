"""ONNX Runtime sessions: threads by the cores at hand, devices by name, errors in plain words."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from tensorhop.errors import InvalidInput
from tensorhop.services.embedded import weights
from tensorhop.services.runtime import session as module
from tensorhop.services.runtime.session import loading, open_session, providers, run

CLASSIFIER = weights.FOLDER / "efficientnet-lite0.onnx"


class Broken:
    """A session whose run fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._real = weights.session(weights.EFFICIENTNET_LITE0)

    def get_inputs(self) -> list[onnxruntime.NodeArg]:
        return self._real.get_inputs()

    def get_outputs(self) -> list[onnxruntime.NodeArg]:
        return self._real.get_outputs()

    def run(self, *_: object) -> list[np.ndarray]:
        raise self._error


def test_a_file_and_its_bytes_run_alike() -> None:
    tensor = np.random.default_rng(1).standard_normal((2, 3, 64, 64), np.float32)
    first, second = (run(open_session(each), tensor) for each in (CLASSIFIER, CLASSIFIER.read_bytes()))
    assert first.shape == (2, 1000, 2, 2)
    assert np.array_equal(first, second)


def test_threads_are_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    assert open_session(CLASSIFIER).get_session_options().intra_op_num_threads == 1


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("hello")
    with pytest.raises(InvalidInput, match=r"^--model .*notes\.onnx cannot be run by ONNX Runtime \(.*Protobuf.*\n?\)"):
        open_session(path)
    with pytest.raises(InvalidInput, match=r"^--model the network cannot"):
        open_session(CLASSIFIER.read_bytes()[:100_000])


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cpu])
    assert providers("auto") == providers("cpu") == [cpu]
    for name, package in (("cuda:1", "-gpu"), ("tensorrt", "-gpu"), ("openvino", "-openvino")):
        with pytest.raises(InvalidInput, match=rf"^--device is {name}, and the .* lacks .*onnxruntime{package} brings"):
            providers(name)
    for name in ("gpu", "cuda:", "cuda:x", "cpu:0", "openvino:1", "tensorrt:", ""):
        with pytest.raises(InvalidInput, match=r"^--device is .*; it must be auto, cpu, cuda or cuda:N"):
            providers(name)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda, cpu])
    assert providers("auto") == providers("cuda") == [(cuda, {"device_id": 0}), cpu]
    assert providers("cuda:3") == [(cuda, {"device_id": 3}), cpu]
    assert providers("cpu") == [cpu]
    others = ["TensorrtExecutionProvider", "OpenVINOExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*others, cpu])
    assert providers("auto") == [cpu]
    assert providers("tensorrt:1") == [(others[0], {"device_id": 1}), cpu]
    assert providers("openvino") == [others[1], cpu]


def test_two_packages_of_one_module_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    about = tmp_path / "onnxruntime_gpu-1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (module.runtimes, module.warn_of_two_runtimes):
        cached.cache_clear()
    try:
        open_session(CLASSIFIER)
        open_session(CLASSIFIER)
    finally:
        for cached in (module.runtimes, module.warn_of_two_runtimes):
            cached.cache_clear()
    (said,) = [record.getMessage() for record in caplog.records if "installed together" in record.getMessage()]
    assert said.startswith("onnxruntime and onnxruntime-gpu are installed together")
    assert "uninstall" in said


@pytest.mark.parametrize(
    "message",
    ["Failed to allocate memory for requested buffer of size 9", "std::bad_alloc", "CUDA failure 2: out of memory"],
)
def test_too_little_memory_is_a_memory_error(message: str) -> None:
    with pytest.raises(MemoryError, match="out of memory"):
        run(Broken(RuntimeException(message)), np.zeros(1, np.float32))


def test_other_failures_stay_what_they_are_but_not_while_loading() -> None:
    tensor = np.zeros(1, np.float32)
    with pytest.raises(Fail):
        run(Broken(Fail("[ONNXRuntimeError] : 1 : FAIL : no such kernel")), tensor)
    with (
        pytest.raises(InvalidInput, match=r"x\.onnx cannot be run by ONNX Runtime \(no such kernel\)"),
        loading("x.onnx"),
    ):
        run(Broken(Fail("[ONNXRuntimeError] : 1 : FAIL : no such kernel")), tensor)
    with pytest.raises(InvalidInput, match=r"x\.onnx cannot be loaded: .*memory"), loading("x.onnx"):
        run(Broken(RuntimeException("Failed to allocate memory")), tensor)

"""ONNX Runtime sessions: their threads, devices and errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

from tensorhop.cpu_count import cpu_count
from tensorhop.errors import InvalidInput
from tensorhop.extras import pip_install
from tensorhop.models.sources import parse_device

_CUDA = "CUDAExecutionProvider"
_NO_MEMORY = ("allocate memory", "bad_alloc", "out of memory")  # of ONNX Runtime's arena, the CPU, CUDA


def open_session(model: bytes | Path, device: str = "cpu", option: str = "--model") -> onnxruntime.InferenceSession:
    """A session of a network, ready to run.

    Args:
        model: an .onnx file or its bytes.
        device: auto, cpu, cuda or cuda:N; auto takes a GPU if this build of ONNX Runtime sees one.
        option: by which the operator named the file.

    Raises:
        InvalidInput: ONNX Runtime cannot run the file, or the device does not exist.
    """
    wanted = providers(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, so they need not be logged
    # Use all cores, so that a single photo is done soonest. Waiting threads sleep instead of spinning: spinning gains
    # little on an idle host, and takes cores from the other services. docs/segment.md has the measurements, made by
    # tools/measure_threads.py.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = cpu_count()
    options.inter_op_num_threads = 1
    with loading(model if isinstance(model, Path) else "the network", option):
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=wanted
        )
    if device.startswith("cuda") and not on_gpu(session):  # ONNX Runtime only warns, and continues on the CPU
        raise InvalidInput("--device", f"is {device}, and ONNX Runtime cannot use that GPU; see its CUDA requirements")
    return session


def providers(device: str) -> list[str | tuple[str, dict[str, int]]]:
    """ONNX Runtime's execution providers for a device. Beside a GPU, the CPU runs what the GPU cannot.

    Raises:
        InvalidInput: the name is unknown, or ONNX Runtime sees no GPU.
    """
    kind, index = parse_device(device)
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if kind == "cuda" and not has_cuda:
        install = pip_install("onnxruntime-gpu")
        raise InvalidInput(
            "--device", f"is {device}, and ONNX Runtime sees no GPU here; for one of NVIDIA's, install with: {install}"
        )
    if kind == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [(_CUDA, {"device_id": int(index or 0)}), "CPUExecutionProvider"]


def on_gpu(session: onnxruntime.InferenceSession) -> bool:
    return _CUDA in session.get_providers()


def run(session: onnxruntime.InferenceSession, tensor: np.ndarray) -> np.ndarray:
    """The first output of a network that has one input.

    Args:
        tensor: of the shape and dtype that the network's input states.

    Returns:
        An array of the shape and dtype that the network's output states.

    Raises:
        MemoryError: the device has too little memory; the session lives on.
    """
    (source, *_), (target, *_) = session.get_inputs(), session.get_outputs()
    try:
        (answer,) = session.run([target.name], {source.name: tensor})
    except Exception as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(
                "the device is out of memory; send fewer calls at once, or use a smaller model"
            ) from error
        raise
    return answer


@contextmanager
def loading(name: object, option: str = "--model") -> Iterator[None]:
    """Turn every error into InvalidInput while a network is loaded or run for the first time: the file is the cause."""
    try:
        yield
    except InvalidInput:
        raise
    except MemoryError as error:
        raise InvalidInput(option, f"{name} cannot be loaded: {error}") from error
    except Exception as error:  # ONNX Runtime's exceptions share no other base class
        reason = " ".join(str(error).split()).rpartition(" : ")[2]  # one line, without ONNX Runtime's codes
        raise InvalidInput(
            option, f"{name} cannot be run by ONNX Runtime ({reason}); is it a whole .onnx file?"
        ) from error

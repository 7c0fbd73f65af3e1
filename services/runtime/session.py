"""ONNX Runtime sessions, with threads and devices chosen, and their errors in the words of this project."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

from tensorhop.cpu_count import cpu_count
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import parse_device

_CUDA = "CUDAExecutionProvider"
_NO_MEMORY = ("allocate memory", "bad_alloc", "out of memory")  # of ONNX Runtime's arena, the CPU, CUDA


def open_session(model: bytes | Path, device: str = "cpu") -> onnxruntime.InferenceSession:
    """A network, ready to run.

    Args:
        model: an .onnx file or its bytes.
        device: auto, cpu, cuda or cuda:N; auto takes a GPU where this build of ONNX Runtime sees one.

    Raises:
        InvalidInput: the file is no network that ONNX Runtime runs, or the device is not there.
    """
    wanted = providers(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    # All cores, so that a photo alone on the host is done soonest. Threads sleep where others would spin, which gains
    # little alone and costs the other services their cores: docs/segment.md has both, by tools/measure_threads.py.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = cpu_count()
    options.inter_op_num_threads = 1
    with loading(model if isinstance(model, Path) else "the network"):
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=wanted
        )
    if device.startswith("cuda") and not on_gpu(session):  # ONNX Runtime only warns, and goes on on the CPU
        raise InvalidInput("--device", f"is {device}, and ONNX Runtime cannot use that GPU; see its CUDA requirements")
    return session


def providers(device: str) -> list[str | tuple[str, dict[str, int]]]:
    """ONNX Runtime's names for a device; the CPU takes what the GPU cannot run."""
    kind, index = parse_device(device)
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if kind == "cuda" and not has_cuda:
        raise InvalidInput("--device", f"is {device}, and ONNX Runtime sees no GPU here; pip install onnxruntime-gpu")
    if kind == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [(_CUDA, {"device_id": int(index or 0)}), "CPUExecutionProvider"]


def on_gpu(session: onnxruntime.InferenceSession) -> bool:
    return _CUDA in session.get_providers()


def run(session: onnxruntime.InferenceSession, tensor: np.ndarray) -> np.ndarray:
    """The network's first output for its only input.

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
def loading(name: object) -> Iterator[None]:
    """While a network is loaded and first run, turn what goes wrong into InvalidInput: it is the file's fault."""
    try:
        yield
    except InvalidInput:
        raise
    except MemoryError as error:
        raise InvalidInput("--model", f"{name} cannot be loaded: {error}") from error
    except Exception as error:  # ONNX Runtime's classes share no base but this
        reason = " ".join(str(error).split()).rpartition(" : ")[2]  # without its codes, in one line
        raise InvalidInput(
            "--model", f"{name} cannot be run by ONNX Runtime ({reason}); is it a whole .onnx file?"
        ) from error

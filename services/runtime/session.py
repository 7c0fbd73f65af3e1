"""ONNX Runtime sessions, with threads and devices chosen."""

from pathlib import Path

import onnxruntime

from services.runtime.cores import cores
from tensorhop.errors import InvalidInput


def open_session(model: bytes | Path, device: str = "cpu") -> onnxruntime.InferenceSession:
    """A network, ready to run.

    Args:
        model: an .onnx file or its bytes.
        device: auto, cpu, cuda or cuda:N; auto takes a GPU where this build of ONNX Runtime sees one.

    Raises:
        InvalidInput: the file is no network that ONNX Runtime runs, or the device is not there.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = cores()
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=providers(device)
        )
    except Exception as error:  # its classes share no base but this
        raise InvalidInput("--model", f"{model if isinstance(model, Path) else ''} cannot be run: {error}") from error


def providers(device: str) -> list[str | tuple[str, dict[str, int]]]:
    """ONNX Runtime's names for a device; the CPU takes what the GPU cannot run."""
    kind, _, index = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise InvalidInput("--device", f"is {device!r}; it must be auto, cpu, cuda or cuda:N")
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if kind == "cuda" and not has_cuda:
        raise InvalidInput("--device", f"is {device}, and ONNX Runtime sees no GPU here; pip install onnxruntime-gpu")
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]

"""ONNX Runtime sessions: their threads, devices and errors."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import onnxruntime

from tensorhop.cpu_count import cpu_count
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.extras import pip
from tensorhop.models.sources import REMOTE, ModelSource, parse_device
from tensorhop.rpc.oip.remote import RemoteSession, RemoteTensor

log = logging.getLogger(__name__)

# By kind of device, ONNX Runtime's execution provider, and the package that brings it.
PROVIDERS = {
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
CPU = "CPUExecutionProvider"
# The packages that bring the module onnxruntime. To look for it in all that are installed would take 0.15 s and more.
RUNTIMES = (
    "onnxruntime",
    "onnxruntime-directml",
    "onnxruntime-gpu",
    "onnxruntime-migraphx",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-silicon",
    "ort-nightly",
)
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}  # of tensors that our networks may have
_NO_MEMORY = ("allocate memory", "bad_alloc", "out of memory")  # of ONNX Runtime's arena, the CPU, CUDA


def open_session(model: bytes | Path, device: str = "cpu", option: str = "--model") -> onnxruntime.InferenceSession:
    """A session of a network, ready to run.

    Args:
        model: an .onnx file or its bytes.
        device: auto, cpu, cuda, cuda:N, tensorrt, tensorrt:N or openvino; auto takes a GPU if this build of ONNX
            Runtime sees one.
        option: by which the operator named the file.

    Raises:
        InvalidInput: ONNX Runtime cannot run the file, or the device does not exist.
    """
    warn_of_two_runtimes()
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
    kind, _ = parse_device(device)
    if kind in PROVIDERS and PROVIDERS[kind][0] not in session.get_providers():  # it only warns, and takes the CPU
        needed = f"see the requirements of {PROVIDERS[kind][0]}"
        raise InvalidInput("--device", f"is {device}, and ONNX Runtime cannot use it here; {needed}")
    return session


def open_network(source: ModelSource) -> "onnxruntime.InferenceSession | RemoteSession":
    """A session of the network that an operator chose: an .onnx file here, or a network on another server.

    Raises:
        InvalidInput: as `open_session`; or the other server has no such network.
    """
    if source.backend == REMOTE:
        return RemoteSession(source.choice.model)
    if not source.path.is_file():
        raise InvalidInput("--model", f"{source.path} is not a file; name an .onnx file")
    return open_session(source.path, source.choice.device)


def identity(source: ModelSource, session: "onnxruntime.InferenceSession | RemoteSession") -> tuple[str, str]:
    """The revision and the digest of a network that `open_network` opened."""
    if isinstance(session, RemoteSession):
        return session.version, session.digest
    return source.revision, source.digest


def providers(device: str) -> list[str | tuple[str, dict[str, int]]]:
    """ONNX Runtime's execution providers for a device. The CPU runs what the device cannot.

    Raises:
        InvalidInput: the name is unknown, or the installed ONNX Runtime lacks its provider.
    """
    kind, index = parse_device(device)
    there = onnxruntime.get_available_providers()
    if kind == "auto":
        kind = "cuda" if PROVIDERS["cuda"][0] in there else "cpu"
    if kind == "cpu":
        return [CPU]
    provider, package = PROVIDERS[kind]
    if provider not in there:
        raise InvalidInput(
            "--device",
            f"is {device}, and the installed ONNX Runtime lacks {provider}; {package} brings it. It takes the place "
            "of onnxruntime, so make an environment of its own for it: "
            f"{pip('uninstall', '--yes', *runtimes())} && {pip('install', package)}",
        )
    return [(provider, {"device_id": index or 0}) if kind != "openvino" else provider, CPU]


def on_gpu(session: "onnxruntime.InferenceSession | RemoteSession") -> bool:
    """Whether batches pay: on a GPU, and on another server, which is there to have one."""
    return isinstance(session, RemoteSession) or any(
        PROVIDERS[kind][0] in session.get_providers() for kind in ("cuda", "tensorrt")
    )


@cache
def runtimes() -> tuple[str, ...]:
    """Those of RUNTIMES that are installed. There should be one: they overwrite each other."""
    return tuple(name for name in RUNTIMES if _installed(name))


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


@cache
def warn_of_two_runtimes() -> None:
    """Log it, once, if several packages bring the module onnxruntime."""
    if len(runtimes()) > 1:
        log.warning(
            "%s are installed together and overwrite each other's files, so a device may be missing; keep one: %s",
            " and ".join(runtimes()),
            pip("uninstall", "--yes", *runtimes()),
        )


def run(session: "onnxruntime.InferenceSession | RemoteSession", tensor: np.ndarray) -> np.ndarray:
    """The first output of a network that has one input.

    Args:
        tensor: of the shape and dtype that the network's input states.

    Returns:
        An array of the shape and dtype that the network's output states.

    Raises:
        MemoryError: the device has too little memory; the session lives on.
        ServiceFault: the network is on another server, which does not answer or refuses.
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


def fitting_batch(most: int, run_batch: Callable[[int], object]) -> int:
    """The size of batches that a network takes: `most`, or 1 where another server refuses that, against its metadata.

    Args:
        run_batch: runs one of so many items. Raises ServiceFault: another server refuses it.
    """
    try:
        run_batch(most)
    except ServiceFault:
        if most == 1:
            raise
        run_batch(1)
        return 1
    return most


def may_be(stated: Sequence[int | str | None], wanted: Sequence[int]) -> bool:
    """Whether a tensor can have a shape: a file states each dimension, or leaves it free."""
    fits = (not isinstance(one, int) or one == size for one, size in zip(stated, wanted, strict=False))
    return len(stated) == len(wanted) and all(fits)


def told(*tensors: onnxruntime.NodeArg | RemoteTensor) -> str:
    """Inputs or outputs of a network for a message: name, shape and type of each."""
    return ", ".join(f"{each.name} {each.shape} {each.type}" for each in tensors) or "nothing"


@contextmanager
def loading(name: object, option: str = "--model") -> Iterator[None]:
    """Turn every error into InvalidInput while a network is loaded or run for the first time: the file is the cause."""
    try:
        yield
    except InvalidInput:
        raise
    except ServiceFault as error:
        raise InvalidInput(option, f"{name} cannot be run: {error}") from error
    except MemoryError as error:
        raise InvalidInput(option, f"{name} cannot be loaded: {error}") from error
    except Exception as error:  # ONNX Runtime's exceptions share no other base class
        reason = " ".join(str(error).split()).rpartition(" : ")[2]  # one line, without ONNX Runtime's codes
        raise InvalidInput(
            option, f"{name} cannot be run by ONNX Runtime ({reason}); is it a whole .onnx file?"
        ) from error

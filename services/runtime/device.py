"""PyTorch's devices, dtypes and threads, as an operator names them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tensorhop.cpu_count import cpu_count
from tensorhop.errors import InvalidInput
from tensorhop.models.sources import QUANTIZED, parse_device

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device that auto, cpu, cuda or cuda:N names; auto takes a GPU if there is one.

    Also makes PyTorch use `cpu_count()` threads on the CPU.

    Raises:
        InvalidInput: the name is unknown, or the GPU does not exist.
    """
    torch.set_num_threads(cpu_count())
    kind, index = parse_device(name)  # check_choice has refused the devices of .onnx files
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InvalidInput("--device", f"is {name}, and this machine shows {torch.cuda.device_count()} GPUs; use cpu")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype that auto, float32, bfloat16 or float16 names; what nf4 and int8 compute in is that of auto.

    On the CPU, auto is float32. On a GPU, it is bfloat16 if the GPU supports that natively, otherwise float16.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name == "auto" or name in QUANTIZED:
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if name not in DTYPES:
        raise InvalidInput("--dtype", f"is {name!r}; it must be auto, {', '.join([*DTYPES, *QUANTIZED])}")
    return DTYPES[name]


@contextmanager
def memory_of(device: torch.device) -> Iterator[None]:
    """Raise MemoryError when the device runs out of memory. Only the request at hand fails; the process lives on."""
    try:
        yield
    except RuntimeError as error:
        # On the CPU, PyTorch raises a plain RuntimeError.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        torch.cuda.empty_cache()
        raise MemoryError(f"{device} is out of memory; send smaller or fewer images, or use a smaller model") from error

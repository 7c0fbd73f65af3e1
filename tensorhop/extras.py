"""How to install what an extra needs, as a command that works as printed, wherever tensorhop was installed from."""

import re
import shlex
import sys
from importlib.metadata import requires
from pathlib import Path


def install_command(extra: str) -> str:
    """The command that installs what an extra needs into this environment: "/path/python -m pip install ...".

    Args:
        extra: "http", "models", "osediff", "otel" or "quantize", as in pyproject.toml.
    """
    wanted = [requirement for requirement in requires("tensorhop") or [] if _extra_of(requirement) == extra]
    return pip_install(*(requirement.partition(";")[0].strip() for requirement in wanted))


def models_command() -> str:
    """The command that installs what models of the hub and PyTorch need, and how to have PyTorch without CUDA."""
    return _with_torch("models")


def osediff_command() -> str:
    """The command that installs what OSEDiff needs, and how to have PyTorch without CUDA."""
    return _with_torch("osediff")


def _with_torch(extra: str) -> str:
    cpu = pip_install("torch", "--index-url", "INDEX")
    return (
        f"{install_command(extra)} (for PyTorch without CUDA, first {cpu}, "
        "with the INDEX that PyTorch's installation page shows for CPU)"
    )


def pip_install(*arguments: str) -> str:
    """The command that installs something into this environment, quoted for a shell."""
    return pip("install", *arguments)


def pip(*arguments: str) -> str:
    """A command of this environment's own pip, quoted for a shell."""
    return shlex.join([sys.executable, "-m", "pip", *arguments])


def groundingdino_command() -> str:
    """The commands that install groundingdino-py.

    Its own requirements would bring the windowed OpenCV, which takes the place of the headless one: hence two steps.
    """
    requirements = Path(__file__).parent / "services" / "detect" / "requirements-groundingdino.txt"
    first = pip_install("-r", str(requirements))
    return f"{first} && {pip_install('--no-deps', 'groundingdino-py==0.4.0')}"


def _extra_of(requirement: str) -> str:
    """The extra that a requirement is for: "http" of "uvicorn>=0.54; extra == 'http'"; "" for none."""
    found = re.search(r"""extra == ['"]([\w-]+)['"]""", requirement)
    return found[1] if found else ""

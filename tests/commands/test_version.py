"""`tensorhop --version` says the installed version, and imports nothing for it."""

import subprocess
import sys
from importlib.metadata import version

import pytest

HEAVY = ("numpy", "cv2", "grpc", "google", "onnxruntime", "pydantic", "rich", "typer")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", *command], capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize("more", [(), ("run", "photo.jpg")], ids=["alone", "with a command"])
def test_version_is_the_package_s(more: tuple[str, ...]) -> None:
    assert run("-m", "tensorhop.orchestrator", "--version", *more).stdout == f"tensorhop {version('tensorhop')}\n"


def test_version_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['tensorhop', '--version']\n"
        "from tensorhop.orchestrator.__main__ import main; main()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    line, modules = run("-c", program).stdout.splitlines()
    assert line.startswith("tensorhop ")
    assert not set(HEAVY) & set(modules.split())


def test_help_names_it() -> None:
    assert "--version" in run("-m", "tensorhop.orchestrator", "--help").stdout

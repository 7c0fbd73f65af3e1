"""`--help` and options that are wrong are answered without the libraries that only the work needs."""

import subprocess
import sys

import pytest

HEAVY = ("cv2", "grpc", "numpy", "onnxruntime", "PIL", "torch")
SCRIPT = f"""
import sys
from tensorhop.orchestrator.cli import app

app(sys.argv[1:], standalone_mode=False)
print("imported:", *sorted({{module.partition(".")[0] for module in sys.modules}} & {{*{HEAVY!r}}}))
"""


@pytest.mark.parametrize(
    "command", [[], ["run"], ["up"], ["status"], ["serve"], ["serve", "detect"], ["serve", "pipeline"]], ids=" ".join
)
def test_help_imports_no_library_for_models_or_calls(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *command, "--help"], capture_output=True, text=True)
    assert "Usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported:", done.stderr

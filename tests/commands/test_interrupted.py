"""SIGINT while the command still starts: a code and a word, and no traceback."""

import subprocess
import sys

import pytest

# The signal comes within an import that swallows what is raised, as those of some packages do.
PROGRAM = """
import os, signal, sys
from tensorhop.orchestrator.__main__ import main

class Interrupt:
    def find_spec(self, name, *rest):
        if name == wanted:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                pass

wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt())
main()
"""


@pytest.mark.parametrize(
    "module", ["tensorhop.rpc.registry", "tensorhop.orchestrator.cli", "tensorhop.orchestrator.commands.run_session"]
)
def test_an_interrupt_while_the_command_starts_is_exit_code_130(module: str) -> None:
    command = [sys.executable, "-P", "-c", PROGRAM, module, "run", "no-such.jpg", "--endpoint", "127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")

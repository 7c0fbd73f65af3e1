"""What an error says to install: a command of this environment's own pip, with names that an index knows."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from tensorhop.extras import groundingdino_command, install_command

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", ["http", "models", "otel", "quantize"])
def test_the_command_names_this_python_and_what_the_extra_needs(extra: str) -> None:
    words = shlex.split(install_command(extra))
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert set(words[4:]) == set(EXTRAS[extra])
    assert not any("tensorhop" in word for word in words[4:]), "no index has it"


def test_the_file_that_groundingdino_py_needs_is_there() -> None:
    words = shlex.split(groundingdino_command().partition("&&")[0])
    assert Path(words[words.index("-r") + 1]).is_file()

"""Builds wheels from copies of the repository, since building one writes stubs and links into it."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ("-m", "hatchling", "build", "--directory")  # with the tools of this environment, which are pyproject.toml's


def copied(target: Path, *left_out: str) -> Path:
    """A copy of the repository in a new folder, with its stubs and links, and with what tools leave behind."""
    names = (".venv*", ".git", "node_modules", "build", "dist", "out", *left_out)
    shutil.copytree(ROOT, target, symlinks=True, ignore=shutil.ignore_patterns(*names))
    for folder in ("services", "services/detect", "tensorhop/wire", "web"):
        for litter in ("__pycache__", ".mypy_cache"):
            (target / folder / litter).mkdir(exist_ok=True)
            (target / folder / litter / "litter.pyc").touch()
    return target


def built(source: Path, kind: str, folder: Path) -> Path:
    """Build a wheel or an sdist of a source tree into a new folder, and return the file."""
    command = [sys.executable, *BUILD, str(folder), "--target", kind]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (made,) = folder.iterdir()
    return made

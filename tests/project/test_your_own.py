"""The package of docs/your-own.md, as printed: installed by pip, served, found, and chained with Tensorhop's own."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from doc_pages import blocks
from doc_reader import Network, Reader, Servers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "your-own"
PAGE = blocks(ROOT / "docs" / "your-own.md")
INSTALL = ("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target")


def printed() -> dict[str, str]:
    return {block.path: block.text for block in PAGE if block.path}


def test_the_page_prints_the_files_of_the_example() -> None:
    files = [path for kind in ("py", "proto", "toml") for path in EXAMPLE.rglob(f"*.{kind}")]
    generated = EXAMPLE / "swatches" / "v1"
    named = {path.relative_to(EXAMPLE).as_posix(): path.read_text() for path in files if path.parent != generated}
    assert printed() == named


def test_a_reader_of_the_page_gets_there(tmp_path: Path) -> None:
    """In a folder that has nothing but the files of the page, and in which pip then makes the stubs."""
    source, site = tmp_path / "empty", tmp_path / "site"
    for name, text in printed().items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    command = [sys.executable, "-m", "pip", *INSTALL, str(site), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    values = {"PHOTO.jpg": str(ROOT / "examples" / "photos" / "cat.jpg")}
    with closing(Reader(tmp_path, values, needs={"package"})) as reader, closing(Network()) as network:
        reader.env["PYTHONPATH"] = str(site)
        reader.up = Servers(network, tmp_path)  # nothing of `tensorhop up` is needed
        reader.read(PAGE, source)

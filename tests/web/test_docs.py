"""Every curl command of the documentation works as printed, and the tables are whole."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_pipeline import FakePipeline, serving

from tensorhop.settings import Settings
from tensorhop.web.parameters import PARAMETERS
from tensorhop.web.problem import STATUSES

ROOT = Path(__file__).parents[2]
HTTP, FLASK = ((ROOT / "docs" / name).read_text() for name in ("http.md", "from-flask.md"))
BLOCKS = [block for text in (HTTP, FLASK) for block in re.findall(r"```sh\n(.*?)```", text, re.S) if "curl" in block]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[FakePipeline, str]]:
    with serving() as (fake, address, _):
        yield fake, address


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_command_works(both: tuple[FakePipeline, str], tmp_path: Path, number: int) -> None:
    """In front of a pipeline that answers at once: the commands are tested here, not the models."""
    fake, address = both
    before = len(fake.requests)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    shown = BLOCKS[number].replace("localhost:8080", address)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shown],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or list(tmp_path.glob("cutout*"))
    assert len(fake.requests) - before == shown.count("/process") - ("length=5" in shown)


def test_the_tables_are_whole() -> None:
    for name in PARAMETERS:
        assert f"`{name}`" in HTTP
    for code, status in STATUSES.items():
        assert re.search(rf"{code}\b[^|]*\| {status}\b", HTTP), code
    for name in ("max_upload_bytes", "max_upload_seconds", "max_requests"):
        default = Settings.model_fields[name].default
        assert re.search(rf"`TENSORHOP_{name.upper()}` \| {default:g} ".replace("1.34218e+08", "134217728"), HTTP)

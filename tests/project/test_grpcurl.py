"""The real grpcurl, with no proto files at hand: reflection, and the calls that docs/grpcurl.md shows."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tensorhop.rpc.registry import ports
from tensorhop.rpc.server import Server

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "grpcurl.md").read_text()


def binary() -> str:
    """grpcurl of this environment, which `make test` installs."""
    found = shutil.which("grpcurl", path=str(Path(sys.executable).parent))
    assert found, "grpcurl is not installed beside this Python"
    return found


def test_reflection_lists_and_describes(servers: dict[str, Server]) -> None:
    for name, server in servers.items():
        command = [binary(), "-plaintext", server.address]
        listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True, timeout=20).stdout
        service = f"tensorhop.v1.{name.capitalize()}Service"
        assert {service, "grpc.health.v1.Health"} <= set(listed.split())
        described = subprocess.run(
            [*command, "describe", service], capture_output=True, text=True, check=True, timeout=20
        )
        assert "rpc " in described.stdout


@pytest.mark.parametrize("shown", re.findall(r"```sh\n(.*?)```", DOC, re.S), ids=lambda text: text.split("\n")[0][:40])
def test_every_command_of_the_docs_works(servers: dict[str, Server], shown: str) -> None:
    """Each block of docs/grpcurl.md runs as printed, except that the ports are those of this test's services."""
    for name, server in servers.items():
        shown = shown.replace(f"localhost:{ports()[name]}", server.address)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'grpcurl() {{ "{binary()}" "$@"; }}\n{shown}'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_an_error_names_the_field_and_carries_the_fault(servers: dict[str, Server]) -> None:
    request = json.dumps({"image": {"encoded": base64.b64encode(b"not an image").decode()}})
    command = [
        binary(),
        "-plaintext",
        "-d",
        request,
        servers["pipeline"].address,
        "tensorhop.v1.PipelineService/Process",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 64 + 3  # grpcurl's exit code for INVALID_ARGUMENT
    assert "image.encoded is not an image file" in done.stderr
    assert "tensorhop.v1.Fault" in done.stderr

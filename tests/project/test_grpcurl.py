"""The real grpcurl, with no proto files at hand: reflection and errors. tests/docs runs docs/grpcurl.md."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tensorhop.rpc.server import Server


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

"""Replicas that DNS comes to know. The resolvers that the image uses ask a DNS server of the test's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OWN = ["unshare", "--net", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
FIRST, SECOND = "127.0.0.2", "127.0.0.3"


def test_a_replica_that_dns_comes_to_know_is_called_within_seconds(tmp_path: Path) -> None:
    if subprocess.run([*OWN, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no namespaces")
    done = subprocess.run(
        [*OWN, sys.executable, str(ROOT / "tests/rpc/resolving.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept, renewed = json.loads(done.stdout.splitlines()[-1]).values()
    assert kept["before"] == renewed["before"] == [[FIRST], [FIRST]]
    assert kept["chain"] == renewed["chain"] == [FIRST, SECOND], "a chain asks DNS again and again"
    assert kept["client"] == [FIRST], "gRPC asks DNS only when it connects"
    assert renewed["client"] == [FIRST, SECOND], "servers that end old connections have it connect"

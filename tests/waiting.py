"""Waiting until something holds."""

import time
from collections.abc import Callable

GUARD = 60.0  # seconds after which something hangs, also on a host that is busy with other work


def wait_for(true: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after GUARD seconds."""
    deadline = time.monotonic() + GUARD
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)

"""The number of cores that this process may use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_count() -> int:
    """The number of cores that this process may use, at least 1.

    The CPU affinity limits it, and so does a container's CPU quota (cgroup version 2 or 1), rounded up.
    """
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        available = os.cpu_count() or 1
    quota = _quota(CGROUP)
    return max(1, available if quota is None else min(available, math.ceil(quota)))


def _quota(folder: Path) -> float | None:
    """The CPU quota in cores; None if there is no quota."""
    try:
        limit, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (folder / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if limit in ("max", "-1"):
        return None
    return int(limit) / int(period)

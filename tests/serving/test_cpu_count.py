"""How many cores a process may use: by affinity, and by a container's quota."""

import os
from pathlib import Path

import pytest

from tensorhop import cpu_count as module
from tensorhop.cpu_count import cpu_count


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container's folder, on a machine of 8 cores."""
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


def test_without_a_quota_affinity_decides(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cpu_count() == 8
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert cpu_count() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert cpu_count() == 1


@pytest.mark.parametrize(("quota", "expected"), [(50_000, 1), (100_000, 1), (150_000, 2), (400_000, 4), (2_000_000, 8)])
def test_a_quota_is_rounded_up(cgroup: Path, quota: int, expected: int) -> None:
    (cgroup / "cpu.max").write_text(f"{quota} 100000\n")
    assert cpu_count() == expected


@pytest.mark.parametrize(("quota", "expected"), [(-1, 8), (250_000, 3)])
def test_version_1(cgroup: Path, quota: int, expected: int) -> None:
    (cgroup / "cpu").mkdir()
    (cgroup / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (cgroup / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cpu_count() == expected

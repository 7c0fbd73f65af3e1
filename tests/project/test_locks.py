"""What `make lock` made agrees with pyproject.toml: exact versions for all Pythons, and the lowest that are allowed."""

import tomllib
from pathlib import Path

import pytest
from locks import holds, versions
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED = ("deploy/constraints.txt", "deploy/lowest.txt")


def wanted(*extras: str) -> list[Requirement]:
    found = map(Requirement, [*PROJECT["dependencies"], *(one for extra in extras for one in EXTRAS[extra])])
    return [one for one in found if one.name not in ("tensorhop", "torch")]


@pytest.mark.parametrize("python", ["3.11.9", "3.12.9", "3.13.9", "3.14.9"])
def test_every_python_has_an_exact_version_that_fits(python: str) -> None:
    pinned = versions("deploy/constraints.txt", python)
    for one in wanted("dev", "http", "connect", "models", "osediff", "jobs", "otel"):
        assert not holds(one, python) or one.specifier.contains(pinned[one.name]), one


def test_pytorch_is_left_to_the_machine() -> None:
    names = versions("deploy/constraints.txt", "3.11.9")
    assert not [name for name in names if name.startswith(("torch", "nvidia", "cuda", "triton"))]


@pytest.mark.parametrize("requirement", wanted("http", "connect", "otel"), ids=lambda requirement: requirement.name)
def test_the_lowest_version_is_the_one_that_is_tried(requirement: Requirement) -> None:
    floors = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
    assert floors == [Version(versions("deploy/lowest.txt", "3.11.9")[requirement.name])]


@pytest.mark.parametrize("path", LOCKED)
def test_no_registry_is_named(path: str) -> None:
    assert "://" not in (ROOT / path).read_text()

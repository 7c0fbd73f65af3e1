"""Reads the files that `make lock` makes."""

from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def holds(requirement: Requirement, python: str) -> bool:
    """Whether a requirement's marker holds for a version of Python, such as 3.11.9, on Linux on x86."""
    here = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    return requirement.marker is None or requirement.marker.evaluate(here)


def versions(path: str, python: str) -> dict[str, str]:
    """Exact versions by package, of those lines of a file that hold for a version of Python."""
    lines = (ROOT / path).read_text().splitlines()
    found = [pin for pin in (Requirement(line) for line in lines if not line.startswith("#")) if holds(pin, python)]
    assert len({pin.name for pin in found}) == len(found), "a package has two versions"
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in found}

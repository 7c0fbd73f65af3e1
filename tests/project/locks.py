"""Reads the files that `make lock` makes."""

from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def versions(path: str, python: str) -> dict[str, str]:
    """Exact versions by package, of those lines that hold for a version of Python, such as 3.11.9, on Linux."""
    lines = (ROOT / path).read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    here = {"python_full_version": python, "python_version": python.rpartition(".")[0], "sys_platform": "linux"}
    found = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(here)]
    assert len({pin.name for pin in found}) == len(found), "a package has two versions"
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in found}

"""Imports run one way: orchestrator -> web -> tensorhop; services -> services/embedded, services/runtime, tensorhop."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for package in ("tensorhop", "services", "orchestrator", "web")
    for path in sorted((ROOT / package).rglob("*.py"))
    if (ROOT / "tensorhop" / "v1") not in path.parents
]
KNOWS_SERVICES = ("orchestrator/local.py", "orchestrator/bench/")
STEPS = ("describe", "detect", "segment", "postprocess")


def imports(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, at any depth, by statement or by import_module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("services."):
            names.add(node.value)
    return names


def allowed(path: Path) -> tuple[str, ...]:
    """The project's packages that a file may import from."""
    place = path.relative_to(ROOT).as_posix()
    if place.startswith("tensorhop/"):
        return ("tensorhop",)
    if place.startswith("web/"):
        return ("tensorhop", "web")
    if place.startswith("orchestrator/"):
        return ("tensorhop", "orchestrator", "web", *(["services"] if place.startswith(KNOWS_SERVICES) else []))
    own = ".".join(path.relative_to(ROOT).parts[:2])
    return ("tensorhop", "tensorhop.services.embedded", "tensorhop.services.runtime", own)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    for name in imports(path):
        if name.split(".")[0] in ("tensorhop", "services", "orchestrator", "web") and name != "services":
            assert any(name == root or name.startswith(f"{root}.") for root in allowed(path)), f"imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_models_know_no_transport(path: Path) -> None:
    place = path.relative_to(ROOT)
    if place.parts[0] != "services" or place.name in ("service.py", "__main__.py"):
        return
    assert not {name for name in imports(path) if name.split(".")[0] == "grpc" or name.startswith("tensorhop.v1")}


def test_every_step_has_its_three_files() -> None:
    for step in STEPS:
        for name in ("__init__.py", "__main__.py", "service.py"):
            assert (ROOT / "services" / step / name).is_file()

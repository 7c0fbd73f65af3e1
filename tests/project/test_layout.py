"""Imports run one way, down the lists below; folders stay small; and a module has one name.

services/, orchestrator/ and web/ are sub-packages of tensorhop/, reached through links that git does not have. Here a
file is read at its own place, and called by its name in Python.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("orchestrator", "services", "web")  # beside tensorhop/ in the repository, below it in Python
STEPS = ("describe", "detect", "segment", "postprocess")

# What all processes share, lowest first: each imports only what stands before it. `tensorhop` alone is its __init__.py.
CORE = (
    *(
        "v1",
        "extras",
        "errors",
        "address",
        "cpu_count",
        "request_id",
        "units",
        "settings",
        "proxy",
        "files",
        "ray_serve",
    ),
    *("observe", "models", "values", "wire", "rpc", "options", "serving", "client", "healthcheck", "tensorhop"),
)
# Of the orchestrator likewise. `launch.child` comes last: it is a process that runs the command line.
ORCHESTRATOR = (
    *(
        "recording",
        "chain",
        "cutouts",
        "views",
        "jobs",
        "run",
        "launch",
        "bench",
        "commands",
        "version",
        "cli",
        "__main__",
        "launch.child",
    ),
)
# What `tensorhop` has public names of beside CORE, for chains of other packages: it imports them when they are used.
NAMED_BY_THE_PACKAGE = ("tensorhop.orchestrator.chain", "tensorhop.orchestrator.launch")
SHARED_BY_SERVICES = ("runtime", "embedded")  # likewise; the services themselves do not know each other
DOZEN = 12


def files(*folders: str) -> list[Path]:
    """The Python files of folders of the repository, without the links to them and without generated ones."""
    left_out = [ROOT / "tensorhop" / name for name in (*PARTS, "v1")]
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not {*left_out} & {*path.parents} and "node_modules" not in path.parts]


def module(path: Path) -> str:
    """The dotted name of a file of the package, as Python imports it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "tensorhop" else ("tensorhop", *parts))


PACKAGE = files("tensorhop", *PARTS)
MODULES = {module(path) for path in PACKAGE} | {"tensorhop.v1"}
each_file = pytest.mark.parametrize("path", PACKAGE, ids=module)


def imports(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, at any depth: by statement, or named as text."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else str(node.module) for name in whole.values()}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = re.fullmatch(r"(tensorhop(?:\.\w+)+)(?::\w+)?", node.value)
            names |= {named[1]} if named and named[1] in MODULES else set()
    return names


def below(name: str, package: str, order: tuple[str, ...]) -> tuple[str, ...]:
    """The modules of a package that one of its modules may import: those before it in the order, and its own room's."""
    inner = name.removeprefix(f"{package}.")
    room = inner if inner in order else inner.split(".")[0]
    assert room in order, f"{name} needs a place in an order of this file"
    return tuple(f"{package}.{one}" for one in order[: order.index(room) + 1] if one != "tensorhop")


def allowed(name: str) -> tuple[str, ...]:
    """The modules of the project that a module may import, with all that is below them."""
    shared = ("tensorhop", *(f"tensorhop.{one}" for one in CORE))
    inner = name.split(".")[1:]
    if not inner:
        return (*shared, *NAMED_BY_THE_PACKAGE)
    if inner[0] == "web":
        return (*shared, "tensorhop.web")
    if inner[0] == "orchestrator":
        own = below(name, "tensorhop.orchestrator", ORCHESTRATOR) if inner[1:] else ()
        # The bench measures a step's own functions; the commands start the HTTP front.
        more = {"bench": ("tensorhop.services",), "commands": ("tensorhop.web",)}
        return (*shared, *own, *more.get("".join(inner[1:2]), ()))
    if inner[0] == "services":
        if "".join(inner[1:2]) in SHARED_BY_SERVICES:
            return (*shared, *below(name, "tensorhop.services", SHARED_BY_SERVICES))
        return (*shared, *(f"tensorhop.services.{one}" for one in (*SHARED_BY_SERVICES, *inner[1:2])))
    return below(name, "tensorhop", CORE)


@each_file
def test_imports_run_one_way(path: Path) -> None:
    name = module(path)
    named = {"tensorhop.services", "tensorhop.orchestrator"} if name == "tensorhop.rpc.registry" else set()
    for other in imports(path) - named:
        if other.split(".")[0] == "tensorhop":
            fits = (other == one or (one != "tensorhop" and other.startswith(f"{one}.")) for one in allowed(name))
            assert any(fits), f"{name} imports {other}"


def test_the_order_has_no_room_that_is_gone() -> None:
    rooms = [*(f"tensorhop.{one}" for one in CORE[:-1]), *(f"tensorhop.orchestrator.{one}" for one in ORCHESTRATOR)]
    assert not {*rooms} - MODULES


@each_file
def test_models_know_no_transport(path: Path) -> None:
    place = path.relative_to(ROOT)
    if place.parts[0] != "services" or place.name in ("service.py", "servicer.py", "__main__.py"):
        return
    assert not {name for name in imports(path) if name.split(".")[0] == "grpc" or name.startswith("tensorhop.v1")}


@pytest.mark.parametrize("path", sorted(ROOT.glob("services/*/service.py")), ids=module)
def test_what_a_service_is_comes_without_importing_it(path: Path) -> None:
    statements = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert [node.module for node in statements if isinstance(node, ast.ImportFrom)] == ["tensorhop.rpc.service"]
    assert len(statements) == 1


def test_every_step_has_its_three_files() -> None:
    for step in STEPS:
        for name in ("__init__.py", "__main__.py", "service.py"):
            assert (ROOT / "services" / step / name).is_file()


@pytest.mark.parametrize("folder", sorted({path.parent for path in PACKAGE}), ids=lambda path: path.name)
def test_no_folder_has_more_than_a_dozen_modules(folder: Path) -> None:
    modules = [path.name for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__")]
    assert len(modules) <= DOZEN


@pytest.mark.parametrize(
    "path",
    files("tensorhop", *PARTS, "tests", "tools", "examples", "docs"),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_file_imports_a_part_by_its_folder_s_name(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in PARTS}


IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
import tensorhop

for found in pkgutil.walk_packages(tensorhop.__path__, "tensorhop."):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:  # of an extra that is not installed
            if str(error.name).split(".")[0] in ("tensorhop", "services", "orchestrator", "web"):
                raise
for name, module in sorted(sys.modules.items()):
    if getattr(module, "__file__", None) and name.split(".")[0] in ("tensorhop", "services", "orchestrator", "web"):
        print(name, pathlib.Path(module.__file__).resolve())
"""


def test_no_module_has_two_names(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", IMPORT_ALL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    found = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert {name.split(".")[0] for name, _ in found} == {"tensorhop"}
    paths = [path for _, path in found]
    assert len(paths) > 100
    assert len(paths) == len({*paths})

"""An installed Tensorhop takes no name but its own: folders and modules of a user's stay what they are."""

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CAT = ROOT / "examples" / "photos" / "cat.jpg"
FOLDERS = ("services", "orchestrator", "web")


class Environment:
    """A virtual environment of its own that borrows the libraries of this one."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        # A path alone: the editable install of Tensorhop there is not followed.
        (self.site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, *arguments: object, cwd: Path | None = None, **variables: str) -> str:
        """Run Python, and return what it prints; a failure shows what it said."""
        return self.command(self.python, *arguments, cwd=cwd, **variables)

    def command(self, *words: object, cwd: Path | None = None, **variables: str) -> str:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
        done = subprocess.run([*map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pip(self, *arguments: object) -> None:
        """pip of the environment that runs the tests, for this one."""
        self.command(sys.executable, "-m", "pip", "--python", self.python, "--quiet", *arguments)

    def fails_to_import(self, name: str, cwd: Path) -> bool:
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
        return subprocess.run([self.python, "-c", code], cwd=cwd, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One that has web.py's module `web`, and then Tensorhop's wheel."""
    made = Environment(tmp_path_factory.mktemp("installed"))
    (made.site / "web.py").write_text("application = 'web.py'\n")
    made.pip("install", "--no-deps", "--no-index", wheel)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project that has packages of the names that Tensorhop's folders have."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "payment.py").write_text(f"owner = 'the user of {name}'\n")
    return tmp_path


def package(project: Path) -> Path:
    for name in FOLDERS:
        (project / name / "__init__.py").touch()
    return project


def test_folders_without_init_stay_importable(environment: Environment, project: Path) -> None:
    (environment.site / "web.py").rename(environment.site / "web.away")  # a module goes before such a folder
    try:
        for name in FOLDERS:
            printed = environment.run("-c", f"from {name}.payment import owner; print(owner)", cwd=project)
            assert printed == f"the user of {name}\n"
    finally:
        (environment.site / "web.away").rename(environment.site / "web.py")


@pytest.mark.parametrize("shape", [lambda project: project, package], ids=["folders", "packages"])
def test_the_command_works_beside_them(
    environment: Environment, project: Path, shape: Callable[[Path], Path], tmp_path: Path
) -> None:
    shape(project)
    tensorhop = environment.bin / "tensorhop"
    assert "--one-process" in environment.command(tensorhop, "up", "--help", cwd=project, PYTHONPATH=".")
    environment.command(tensorhop, "run", CAT, "-o", tmp_path / "out", cwd=project, PYTHONPATH=".")
    assert (tmp_path / "out" / "cat-0.png").is_file()


def test_serve_works_beside_them(environment: Environment, project: Path) -> None:
    package(project)
    command = [environment.bin / "tensorhop", "serve", "segment", "--listen", f"unix:{project}/segment"]
    variables = {**os.environ, "PYTHONPATH": "."}
    with subprocess.Popen(command, cwd=project, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "serves" in line:
                break
        else:
            pytest.fail("".join(said))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_web_py_is_left_alone(environment: Environment, wheel: Path, tmp_path: Path) -> None:
    ask = ("-c", "import web; print(web.application)")
    assert environment.run(*ask, cwd=tmp_path) == "web.py\n"
    environment.pip("uninstall", "--yes", "tensorhop")
    assert environment.run(*ask, cwd=tmp_path) == "web.py\n"
    environment.pip("install", "--no-deps", "--no-index", wheel)
    assert environment.run(*ask, cwd=tmp_path) == "web.py\n"


def test_an_editable_install_exposes_the_package_alone(tree: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "editable")
    environment.pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", tree)
    where = environment.run("-c", "import tensorhop.services.segment as one; print(one.__file__)", cwd=tmp_path)
    assert Path(where.strip()).resolve() == tree / "services" / "segment" / "__init__.py"
    for name in (*FOLDERS, "tests", "tools", "docs", "hatch_build"):
        assert environment.fails_to_import(name, tmp_path), name
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "payment.py").touch()
    environment.run("-c", "import services.payment", cwd=tmp_path)

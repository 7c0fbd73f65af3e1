"""The wheel holds the package, its stubs, weights and page, each file once, wherever it is built from."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from wheels import built, copied

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = ("tree", "sdist", "copy")


def names_in(wheel: Path) -> list[str]:
    return sorted(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="session")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tree, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What a wheel is built from: a clone, the sdist, and a copy that has nothing of git, as in an image's build."""
    if request.param == "tree":
        return request.getfixturevalue("tree")
    if request.param == "copy":
        return copied(tmp_path / "copy", ".gitignore")
    with tarfile.open(request.getfixturevalue("sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    return next(tmp_path.glob("tensorhop-*"))


def test_every_source_gives_the_same_files_once(source: Path, wheel: Path, tmp_path: Path) -> None:
    names = names_in(built(source, "wheel", tmp_path / "made"))
    assert len(names) == len({*names})
    assert names == names_in(wheel)


def test_wheel_has_one_top_level_name(wheel: Path) -> None:
    (package, info) = sorted({name.split("/")[0] for name in names_in(wheel)})
    assert package == "tensorhop"
    assert info.endswith(".dist-info")


def test_wheel_holds_all_of_the_package(wheel: Path) -> None:
    kept = {path for path in (ROOT / "tensorhop").glob("*") if path.name not in ("orchestrator", "services", "web")}
    found = {*kept, *(ROOT / part for part in ("orchestrator", "services", "web"))}
    files = {path for top in found for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()}
    wanted = {
        "/".join(("tensorhop", *(path.relative_to(ROOT).parts[path.is_relative_to(ROOT / "tensorhop") :])))
        for path in files
        if "__pycache__" not in path.parts
    }
    assert wanted == {name for name in names_in(wheel) if name.startswith("tensorhop/")}


def test_wheel_holds_stubs_weights_and_page(wheel: Path) -> None:
    names = set(names_in(wheel))
    protos = [proto.stem for proto in (ROOT / "protos" / "tensorhop" / "v1").glob("*.proto")]
    assert {f"tensorhop/v1/{proto}_pb2.py" for proto in protos} <= names
    assert {f"tensorhop/v1/{proto}_pb2.pyi" for proto in protos} <= names
    weights = "tensorhop/services/embedded/weights"
    files = ("u2netp.onnx", "efficientnet-lite0.onnx", "upscaler-x2.onnx", "brisque-live.npz", "NOTICE")
    assert {f"{weights}/{file}" for file in files} <= names
    assert {"tensorhop/py.typed", "tensorhop/orchestrator/cli.py", "tensorhop/web/app.py"} <= names
    page = [path.name for path in (ROOT / "web" / "page").iterdir()]
    assert {"index.html", "sample.jpg"} < set(page)
    assert {f"tensorhop/web/page/{name}" for name in page} <= names


def test_wheel_has_the_licences(wheel: Path) -> None:
    assert {name.rpartition("/")[2] for name in names_in(wheel) if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_wheel_and_sdist_leave_out_the_rest(wheel: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for name in ("tests", "docs", "examples", "tools", "deploy"):
        assert not {one for one in packed if one.startswith(f"{name}/")}
        assert not {one for one in names_in(wheel) if f"tensorhop/{name}/" in one or one.startswith(f"{name}/")}

"""The wheel that a clone builds holds the stubs, the embedded weights and the page."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_wheel_holds_stubs_weights_and_page(tmp_path: Path) -> None:
    # --no-build-isolation: the tools for building are in this environment, at the versions that pyproject.toml names.
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("tensorhop-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    protos = [proto.stem for proto in (ROOT / "protos" / "tensorhop" / "v1").glob("*.proto")]
    assert {f"tensorhop/v1/{proto}_pb2.py" for proto in protos} <= names
    assert {f"tensorhop/v1/{proto}_pb2.pyi" for proto in protos} <= names
    assert {"services/embedded/weights/u2netp.onnx", "services/embedded/weights/efficientnet-lite0.onnx"} <= names
    assert {"services/embedded/weights/NOTICE", "tensorhop/py.typed", "orchestrator/cli.py", "web/app.py"} <= names
    page = [path.name for path in (ROOT / "web" / "page").iterdir()]
    assert {"index.html", "sample.jpg"} < set(page)
    assert {f"web/page/{name}" for name in page} <= names
    assert not {name for name in names if name.startswith(("tests/", "docs/", "examples/"))}

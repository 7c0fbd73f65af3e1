"""A configuration file is read, never run."""

import contextlib
from pathlib import Path

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.services.detect.assignments import read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.py"


def test_plain_values(file: Path) -> None:
    file.write_text(
        '"""A network."""\n# its sizes\nmodelname = "groundingdino"\nindices = [1, 2, -3]\nrate = 1e-4\n'
        "shape = (1, None)\nsets = {'a': True}\nrate = 0.5\n"
    )
    assert read(file) == {
        "modelname": "groundingdino",
        "indices": [1, 2, -3],
        "rate": 0.5,
        "shape": (1, None),
        "sets": {"a": True},
    }


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import path",
        "value = open('ran', 'w')",
        "value = __import__('os').getpid()",
        "value = other",
        "value = 2 ** 100",
        "value: int = 3",
        "value = other = 3",
        "value.more = 3",
        "value, other = 3, 4",
        "value += 1",
        "print(3)",
        "for value in [1]: pass",
        "class Value: pass",
        "def value(): pass",
        "del batch_size",
        "(value := 3)",
        "value = [one for one in (1, 2)]",
        "value = f'{1}'",
    ],
)
def test_anything_more_is_refused_and_not_run(file: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    file.write_text(f"batch_size = 1\n{line}\n")
    with pytest.raises(InvalidInput, match=r"config.py, line 2, is .*; only plain values may be assigned"):
        read(file)
    assert not (file.parent / "ran").exists()


@pytest.mark.parametrize("content", [b"a =", b"\xff\xfe", b"a = 1\0", b"a = " + b"(" * 500])
def test_a_file_that_is_no_python(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match="cannot be read as Python"):
        read(file)


@pytest.mark.parametrize("content", [b"a = " + b"-" * 3000 + b"1", b"a = " + b"[" * 190 + b"]" * 190])
def test_depth_is_no_crash(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with contextlib.suppress(InvalidInput):
        assert set(read(file)) == {"a"}


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(file)

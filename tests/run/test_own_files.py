"""How a run knows its own files: whatever is in a folder, and wherever earlier runs broke off."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorhop.orchestrator.run.own_files import NotOurs, PhotoFiles, Rights, are_results, find_results, read_marked

NAMES = st.sampled_from(["a-0.png", "a-1.png", "a-2.png", "a-overview.png", "a/0.png", "a.json"])
RUNS = st.lists(st.tuples(st.lists(NAMES.filter(lambda name: name != "a.json"), unique=True), st.integers(0, 9)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"photo")
    return tmp_path


def files(folder: Path, photo: str = "photos/a.jpg", overwrite: bool = False) -> PhotoFiles:
    rights = Rights(overwrite)
    rights.read(folder / photo)
    return PhotoFiles(folder / "out", "a.json", folder / photo, rights)


def write(folder: Path, *names: str, content: bytes = b"ours") -> None:
    own = files(folder)
    own.check([*names, "a.json"])
    for name in names:
        own.write(name, content, names)
    own.finish({"status": "done"})


def inside(folder: Path) -> dict[str, bytes]:
    """Every file in the output directory but for reports."""
    found = {path.relative_to(folder / "out").as_posix(): path for path in (folder / "out").rglob("*")}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file() and path.suffix != ".json"}


class Killed(Exception):
    """The process ended here."""


def killed_at(place: int) -> Iterator[None]:
    for _ in range(place):
        yield
    raise Killed


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.binary(min_size=1, max_size=3)), RUNS)
def test_after_any_runs_the_folder_shows_the_last_one_and_what_was_there(
    mine: dict[str, bytes], runs: list[tuple[list[str], int]]
) -> None:
    """Some runs are killed between two steps. A run is refused where a file of somebody else is in its way."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        (folder / "photos" / "a.jpg").write_bytes(b"photo")
        for path, content in mine.items():
            (folder / "out" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "out" / path).write_bytes(b"mine" + content)
        for number, (names, place) in enumerate(runs):
            steps, own, content = killed_at(place), files(folder), f"run {number}".encode()
            try:
                own.check([*names, "a.json"])
                for one in names:
                    next(steps)
                    own.write(one, content, names)
                next(steps)
                own.finish({"status": "done"})
            except NotOurs:
                assert {*names, "a.json"} & mine.keys()
                continue
            except Killed:
                continue
            shown = {name: data for name, data in inside(folder).items() if name not in mine}
            assert shown == dict.fromkeys(names, content)
            assert [path.name for path in (folder / "out").glob("*.json")] == ["a.json"]
            assert not list((folder / "out").glob(".*"))
        for path, content in mine.items():
            assert (folder / "out" / path).read_bytes() == b"mine" + content


def test_what_was_changed_since_is_not_ours(folder: Path) -> None:
    write(folder, "a-0.png", "a-1.png")
    (folder / "out" / "a-0.png").write_bytes(b"by hand")
    (folder / "out" / "a-1.png").write_bytes(b"by hand too")
    with pytest.raises(NotOurs, match="as it is now"):
        files(folder).check(["a-0.png"])
    write(folder, "a-2.png")
    assert inside(folder) == {"a-0.png": b"by hand", "a-1.png": b"by hand too", "a-2.png": b"ours"}


def test_the_report_of_another_photo_gives_no_rights(folder: Path) -> None:
    write(folder, "a-0.png", "a-1.png")
    (folder / "other").mkdir()
    (folder / "other" / "a.jpg").write_bytes(b"other")
    other = files(folder, "other/a.jpg")
    for name in ("a-0.png", "a.json"):
        with pytest.raises(NotOurs, match=r"is of \.\./photos/a\.jpg"):
            other.check([name])
    taken = files(folder, "other/a.jpg", overwrite=True)
    taken.write("a-0.png", b"other")
    taken.finish({})
    assert inside(folder) == {"a-0.png": b"other"}, "not one file of the first photo is left among those of the other"


def test_a_photo_is_the_same_wherever_it_is_moved_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = files(folder)
    own.write("a-0.png", b"ours")
    own.finish({"digest": "unknown"})
    shutil.copytree(folder, folder / "moved", ignore=shutil.ignore_patterns("moved"))
    files(folder / "moved").check(["a-0.png"])
    monkeypatch.chdir(folder)
    files(Path()).check(["a-0.png"])
    (folder / "link").symlink_to(folder / "photos")
    files(folder, "link/a.jpg").check(["a-0.png"])


def test_what_is_read_is_neither_replaced_nor_removed(folder: Path) -> None:
    write(folder, "a-0.png", "a-1.png")
    (folder / "out" / "link.png").hardlink_to(folder / "photos" / "a.jpg")
    own = files(folder, overwrite=True)
    own.rights.read(folder / "out" / "a-0.png")
    for name in ("a-0.png", "link.png"):
        with pytest.raises(NotOurs, match="that this run reads"):
            own.check([name])
    own.finish({})
    assert inside(folder).keys() == {"a-0.png", "link.png"}


@pytest.mark.parametrize("name", ["../photos/a.jpg", "/etc/hostname", "x/../../photos/a.jpg", ""])
def test_a_report_cannot_name_files_outside(folder: Path, name: str) -> None:
    write(folder, "a-0.png")
    path = folder / "out" / "a.json"
    report = json.loads(path.read_text())
    report["tensorhop"]["written"][name] = None
    path.write_text(json.dumps(report))
    assert name not in files(folder).earlier
    write(folder)
    assert (folder / "photos" / "a.jpg").read_bytes() == b"photo"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"status": "done"}', '{"tensorhop": 1}', '{"tensorhop": {', "\xff"])
def test_other_json_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    assert read_marked(tmp_path / "a.json") is None
    assert read_marked(tmp_path) is None


def test_results_are_found_among_other_files(folder: Path) -> None:
    write(folder, "a-0.png", "a-1.png", "a/0.png")
    out = folder / "out"
    (out / "a-1.png").write_bytes(b"a photo")
    (out / "b.png").write_bytes(b"a photo")
    (out / "results.jsonl").write_text('{"tensorhop": 1, "line": 1}\n')
    (out / "mine.jsonl").write_text('{"tensorhop": 1, "line": 1}\n{"line": 2}\n')
    found = find_results(out, [path.name for path in out.iterdir()])
    assert found == {out / name for name in ("a-0.png", "a/0.png", "a.json", "results.jsonl")}
    assert not are_results(out / "mine.jsonl")

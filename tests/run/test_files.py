"""Which files a run reads, and names that never collide."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.run.files import (
    TEMPLATE,
    WrongUse,
    check_template,
    check_writable,
    encoding_of,
    fill,
    suffix_of,
    write_file,
)
from tensorhop.orchestrator.run.inputs import STDIN, Input, expand, find_inputs
from tensorhop.values.geometry import Box
from tensorhop.values.results import Detection


def detection(index=0, label="cat", score=0.876):
    return Detection(index, label, 0, score, Box(0, 0, 1, 1))


@pytest.fixture
def folder(tmp_path):
    """Images of every case and depth, among other files."""
    for name in ("b.jpg", "a.PNG", "c.jpeg", "notes.txt", "deep/a.png", "deep/er/d.webp", "empty/x.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


def names(folder, inputs):
    return [str(path).removeprefix(f"{folder}/") for path in inputs]


def test_a_folder_gives_its_images_in_order(folder):
    assert names(folder, expand(str(folder), recursive=False)) == ["a.PNG", "b.jpg", "c.jpeg"]


def test_recursive_goes_into_folders(folder):
    found = names(folder, expand(str(folder), recursive=True))
    assert sorted(found) == ["a.PNG", "b.jpg", "c.jpeg", "deep/a.png", "deep/er/d.webp"]
    assert found == names(folder, expand(str(folder), recursive=True))


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_without_images_is_wrong_use(folder, recursive):
    with pytest.raises(WrongUse, match="empty holds no image") as caught:
        find_inputs([str(folder / "empty")], recursive)
    assert ("--recursive" in str(caught.value)) is not recursive


@pytest.mark.parametrize("name", ["photo.xyz", "missing.jpg", STDIN])
def test_a_name_stands_for_itself(name):
    """Whether a file exists, and is an image, shows when it is read."""
    assert list(expand(name, recursive=True)) == [name]


def test_order_is_the_users(folder):
    given = [str(folder / "c.jpeg"), str(folder / "deep"), STDIN, str(folder / "b.jpg")]
    inputs = find_inputs(given, recursive=False)
    assert names(folder, [photo.name for photo in inputs]) == ["c.jpeg", "deep/a.png", "-", "b.jpg"]
    assert [photo.stem for photo in inputs] == ["c", "a", "stdin", "b"]


@pytest.mark.parametrize(
    "given",
    [
        ["a.jpg", "a.png", "x/a.jpg"],
        ["a.jpg", "A.jpg"],  # one file on some file systems
        ["a.jpg", "a~2.jpg", "x/a.jpg"],
        ["x/a.jpg", "y/a.jpg", "a~2.jpg", "a~2~2.jpg"],
        ["a.jpg", "a.jpg"],
        [STDIN, "stdin.jpg"],
        ["straße.jpg", "STRASSE.jpg"],
    ],
)
def test_stems_are_unique(given):
    stems = [photo.stem.casefold() for photo in find_inputs(given, recursive=False)]
    assert len(set(stems)) == len(given)


def test_the_first_of_a_name_keeps_it():
    assert [photo.stem for photo in find_inputs(["x/a.jpg", "y/a.jpg", "b.jpg"], False)] == ["a", "a~2", "b"]


def test_only_the_last_suffix_goes():
    (photo,) = find_inputs(["trip.2024.jpg"], recursive=False)
    assert photo.stem == "trip.2024"


def test_standard_input_only_once():
    with pytest.raises(WrongUse, match="only once"):
        find_inputs([STDIN, "a.jpg", STDIN], recursive=False)


def test_read(folder, monkeypatch):
    assert Input(str(folder / "b.jpg"), "b").read() == b"x"
    assert Input("b.jpg", "b", folder / "b.jpg").read() == b"x"
    assert Input(STDIN, "1-", folder / "b.jpg").read() == b"x"
    for name in ("missing.jpg", "a\0b"):
        with pytest.raises(FileNotFoundError):
            Input(str(folder / name), "missing").read()
    monkeypatch.setattr("tensorhop.settings.current_settings", lambda: SimpleNamespace(max_message_bytes=3))
    (folder / "b.jpg").write_bytes(b"1234")
    with pytest.raises(InvalidInput, match="more than 3 bytes"):
        Input(str(folder / "b.jpg"), "b").read()


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.png"
    write_file(path, b"old")
    link = tmp_path / "link.png"
    link.symlink_to(path)

    def full(part, data):
        Path(part).open("wb").close()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            write_file(path, b"new")
    assert path.read_bytes() == b"old"
    write_file(link, b"new")
    assert path.read_bytes() == b"new"
    assert link.is_symlink()
    assert [found.name for found in path.parent.iterdir()] == ["a.png"]


def test_a_device_is_written_into():
    write_file(Path("/dev/null"), b"x")
    assert not Path("/dev/null").is_file()


def test_where_nothing_can_be_written(folder, monkeypatch):
    check_writable(folder / "not" / "yet", "--out")
    assert not (folder / "not").exists()
    with pytest.raises(WrongUse, match=r"--out .*b\.jpg is not a directory"):
        check_writable(folder / "b.jpg" / "out", "--out")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(WrongUse, match="may not be changed"):
        check_writable(folder / "not", "--out")


@pytest.mark.parametrize(
    "template",
    [f"{TEMPLATE}.jpg", "{stem}_{index:03d}_{label}.png", "{stem}/{index}.PNG", "{index}-{stem}-{score:.2f}.png"],
)
def test_templates_that_work(template):
    check_template(template)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{stem}.png", "one name"),
        ("{index}.png", "one name"),
        ("{stem}-{label}.png", "one name"),
        ("{index}{stem}.png", "one name"),
        ("cutout.png", "one name"),
        ("{stem}-{index}.tif", ".png, .webp, .jpg, .jpeg"),
        ("{stem}-{index}", ".png"),
        ("/elsewhere/{stem}-{index}.png", "leaves"),
        ("../{stem}-{index}.png", "leaves"),
        ("{stem}/../../{index}-{stem}.png", "leaves"),
        ("{stem}-{index}-{name}.png", "{stem}, {index}, {label} and {score}"),
        ("{stem}-{index}-{}.png", "cannot be filled in"),
        ("{stem}-{index:q}.png", "cannot be filled in"),
        ("{stem}-{index.png", "cannot be filled in"),
        ("{stem.nothing}-{index}.png", "cannot be filled in"),
        ("{stem[x]}-{index}.png", "cannot be filled in"),
    ],
)
def test_templates_that_do_not(template, said):
    with pytest.raises(WrongUse) as caught:
        check_template(template)
    assert said in str(caught.value)
    assert template in str(caught.value)


@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_suffixes(encoding):
    name = f"a{suffix_of(encoding)}"
    assert encoding_of(name, "--out", None) == encoding_of(name.upper(), "--out", encoding) == encoding
    with pytest.raises(WrongUse, match=f"--out {name} is a file of {encoding}, and --format is gif"):
        encoding_of(name, "--out", "gif")


def test_fill():
    assert fill(f"{TEMPLATE}.png", "photo", detection(3)) == "photo-3.png"
    assert fill("{index:02d} {label} {score:.1f}.png", "photo", detection(3)) == "03 cat 0.9.png"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("coffee mug", "coffee mug"),
        ("../../etc/x", "______etc_x"),
        ("a\\b:c*?\n\0", "a_b_c____"),
        ("Füße 足", "Füße 足"),
        ("{stem}", "_stem_"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_label_cannot_leave_its_place_in_the_name(label, name):
    assert fill("{label}.png", "photo", detection(label=label)) == f"{name}.png"

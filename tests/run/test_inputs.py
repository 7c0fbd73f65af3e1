"""Which photos a run reads, and what of a folder it leaves out."""

import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.inputs import STDIN, Input, find_inputs
from tensorhop.values.images import formats as image_formats


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
    return [photo.name.removeprefix(f"{folder}/") for photo in inputs]


def found_in(folder, recursive):
    return find_inputs([str(folder)], recursive)[0]


def test_a_folder_gives_its_images_in_order(folder):
    assert names(folder, found_in(folder, recursive=False)) == ["a.PNG", "b.jpg", "c.jpeg"]


def test_recursive_goes_into_folders(folder):
    found = names(folder, found_in(folder, recursive=True))
    assert sorted(found) == ["a.PNG", "b.jpg", "c.jpeg", "deep/a.png", "deep/er/d.webp"]
    assert found == names(folder, found_in(folder, recursive=True))


def test_results_lie_as_their_photos_do(folder):
    places = {(photo.folder, photo.stem) for photo in found_in(folder, recursive=True)}
    assert places == {("", "a"), ("", "b"), ("", "c"), ("deep", "a"), ("deep/er", "d")}


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_without_images_is_wrong_use(folder, recursive):
    with pytest.raises(WrongUse, match="empty holds no image") as caught:
        find_inputs([str(folder / "empty")], recursive)
    assert ("--recursive" in str(caught.value)) is not recursive


@pytest.mark.parametrize("name", ["photo.xyz", "missing.jpg", STDIN])
def test_a_name_stands_for_itself(name):
    """Whether a file exists, and is an image, shows when it is read."""
    (photo,) = find_inputs([name], recursive=True)[0]
    assert (photo.name, photo.folder) == (name, "")


def test_order_is_the_users(folder):
    given = [str(folder / "c.jpeg"), str(folder / "deep"), STDIN, str(folder / "b.jpg")]
    inputs, _ = find_inputs(given, recursive=False)
    assert names(folder, inputs) == ["c.jpeg", "deep/a.png", "-", "b.jpg"]
    assert [photo.stem for photo in inputs] == ["c", "a", "stdin", "b"]


@given(st.lists(st.from_regex(r"[abA][.12~-]{0,2}[ab]?\.(jpg|png|bmp)", fullmatch=True), max_size=6), st.data())
def test_a_name_depends_on_the_photo_alone(others, data):
    name = data.draw(st.sampled_from(["a.jpg", "x/a.jpg", "a~2.jpg"]))
    template = data.draw(st.sampled_from([None, "{file}-{index}.png", "{folder}_{stem}-{index}.png"]))
    (alone,), _ = find_inputs([name], False, template)
    among, _ = find_inputs([*others, name], False, template)
    assert alone in among


@pytest.mark.parametrize(
    ("template", "stem"),
    [
        (None, "a.b"),
        ("{file}-{index}.png", "a.b.JPG"),
        ("{folder}/{index}.png", "x-a.b"),
        ("{folder}{file}", "x-a.b.JPG"),
    ],
)
def test_a_template_may_ask_for_more_of_the_path(template, stem):
    assert find_inputs(["y/x/a.b.JPG"], False, template)[0][0].stem == stem


def test_a_file_that_is_named_twice_is_read_once(folder):
    given = [str(folder), str(folder / "b.jpg"), f"{folder}/deep/../b.jpg"]
    assert names(folder, find_inputs(given, False)[0]) == ["a.PNG", "b.jpg", "c.jpeg"]


def test_only_the_last_suffix_goes():
    (photo,), _ = find_inputs(["trip.2024.jpg"], recursive=False)
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


@pytest.mark.parametrize("recursive", [False, True])
def test_each_file_of_a_folder_is_read_or_named_as_left_out(tmp_path, recursive):
    folder = tmp_path / "photos"
    photos = {
        "a.jpg",
        "b.jfif",
        "c.JPE",
        "d.Png",
        "e.bmp",
        "f.tif",
        "g.webp",
        "h.gif",
        "i.mpo",
        "gone.jpg",
        "deep/a.jpg",
    }
    hidden = {"._a.jpg", ".b.jpg", ".DS_Store", "deep/._a.jpg", ".git/c.jpg"}
    kinds = {"notes.txt", "price.pdf", "IMG_1", "a.json", "deep/x.csv"}
    for name in photos | hidden | kinds:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    (folder / "gone.jpg").unlink()
    (folder / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop").symlink_to(folder)
    inputs, left_out = find_inputs([str(folder)], recursive)
    found = {reason: {name.removeprefix(f"{folder}/") for name in left} for reason, left in left_out.names.items()}
    if recursive:
        assert found == {"hidden": hidden - {".git/c.jpg"} | {".git"}, "kind": kinds | {"pipe.jpg"}, "folder": {"loop"}}
        assert set(names(folder, inputs)) == photos
    else:
        assert found == {"hidden": {"._a.jpg", ".b.jpg", ".DS_Store"}, "kind": kinds - {"deep/x.csv"} | {"pipe.jpg"}}
        assert set(names(folder, inputs)) == photos - {"deep/a.jpg"}
    assert f"{len(found['hidden'])} hidden (." in left_out.text()
    assert "of other kinds (IMG_1, a.json, " in left_out.text()


@pytest.mark.parametrize("name", ["a.avif", "a.JP2", "a.heic", "a.heif"])
def test_a_format_that_is_not_readable_here_is_named(tmp_path, monkeypatch, name):
    (tmp_path / name).touch()
    with monkeypatch.context() as patched:
        patched.setattr(image_formats, "has_codec", lambda codec: False)
        patched.setattr(image_formats, "register_heif", lambda: False)
        image_formats.readable_formats.cache_clear()
        image_formats.readable_suffixes.cache_clear()
        with pytest.raises(WrongUse, match=rf"left out: 1 in formats .* \({name}\): {name[1:].lower()} needs .*illow"):
            find_inputs([str(tmp_path)], False)
    image_formats.readable_formats.cache_clear()
    image_formats.readable_suffixes.cache_clear()


def test_what_cannot_be_given(tmp_path):
    with pytest.raises(WrongUse, match="an IMAGE is empty"):
        find_inputs([""], False)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(WrongUse, match=r"holds no image; .*; left out: 1 of other kinds \(notes.txt\)"):
        find_inputs([str(tmp_path)], False)

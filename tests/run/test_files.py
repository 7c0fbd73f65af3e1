"""Names of the files that a run writes, and how they are written."""

import errno
import os
from pathlib import Path

import pytest

from tensorhop.files import CannotWrite, suffix_of, write_file
from tensorhop.orchestrator.run.files import (
    TEMPLATE,
    WrongUse,
    check_template,
    check_writable,
    encoding_of,
    fill,
    wrong_name,
)
from tensorhop.values.geometry import Box
from tensorhop.values.results import Detection


def detection(index=0, label="cat", score=0.876):
    return Detection(index, label, 0, score, Box(0, 0, 1, 1))


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


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_file(path, b"mine", replace=False)
    for links in (True, False):  # a file system may have none
        if not links:
            monkeypatch.setattr("os.link", lambda *names: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
        with pytest.raises(CannotWrite) as caught:
            write_file(path, b"other", replace=False)
        assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, str(path))
        assert path.read_bytes() == b"mine"
    write_file(tmp_path / "b.png", b"b", replace=False)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_link_is_replaced_where_it_is_not_followed(tmp_path):
    path, link = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(b"a")
    link.symlink_to(path)
    write_file(link, b"b", follow=False)
    assert (path.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"a", b"b", False)


@pytest.mark.parametrize(
    ("number", "ends"),
    [("ENOSPC", True), ("EDQUOT", True), ("EROFS", True), ("EIO", True), ("EACCES", False), ("ENAMETOOLONG", False)],
)
def test_which_errors_of_the_disk_end_a_run(tmp_path, monkeypatch, number, ends):
    def fail(part, data):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(CannotWrite, match=r"a\.png") as caught:
        write_file(tmp_path / "a.png", b"")
    assert caught.value.ends_run is ends


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.png", ""),
        ("a/b/c.png", ""),
        ("x" * 255, ""),
        ("x" * 256, "256 bytes; at most 255"),
        ("ü" * 128, "256 bytes"),
        ("a/" + "足" * 86, "258 bytes"),
        ("../a.png", "leaves"),
        ("a/../../b.png", "leaves"),
        ("/a.png", "leaves"),
        ("a//b.png", "leaves"),
        ("./a.png", "leaves"),
        ("out/a.png", "by a link"),
        ("in/a.png", ""),
        ("/".join(["x" * 200] * 21), "4"),
    ],
)
def test_a_name_fits_and_stays_in_its_folder(tmp_path, name, says):
    folder = tmp_path / "folder"
    (folder / "real").mkdir(parents=True)
    (folder / "in").symlink_to(folder / "real")
    (folder / "out").symlink_to(tmp_path)
    found = wrong_name(folder, name)
    assert says in found
    assert bool(found) is bool(says)


def test_where_nothing_can_be_written(tmp_path, monkeypatch):
    folder = tmp_path
    (folder / "b.jpg").touch()
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
        ("足" * 50, "足" * 20),  # 60 bytes
        ("", "_"),
        (" ", "_"),
    ],
)
def test_a_label_cannot_leave_its_place_in_the_name(label, name):
    assert fill("{label}.png", "photo", detection(label=label)) == f"{name}.png"

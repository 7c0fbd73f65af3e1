"""Which files may be read and written, and under which names: over HTTP, for single services."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_caller import Answer, call, post
from service_pictures import JSON, encoded

from tensorhop.errors import InvalidInput
from tensorhop.files import CannotWrite
from tensorhop.web.services import destination
from tensorhop.web.services.destination import stems_of

PIXELS = np.full((24, 32, 3), 90, np.uint8)


@pytest.fixture
def root(tmp_path: Path, limit: Callable[..., None]) -> Path:
    """One folder for reading and for writing, with a picture, beside another folder with one."""
    for name in ("root", "root/sub", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(encoded(PIXELS))
    (tmp_path / "root" / "link.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "inner").symlink_to(tmp_path / "root" / "sub")
    limit(allow_path=str(tmp_path / "root"), allow_write=str(tmp_path / "root"))
    return tmp_path / "root"


def upscale(http: str, **members: Any) -> Answer:
    return call(http, "POST", "/upscale", json.dumps(members), JSON)


def fault(http: str, **members: Any) -> dict[str, Any]:
    """The one fault of a request that has no result."""
    told = upscale(http, **members).json
    assert not told["results"]
    (one,) = told["faults"]
    return dict(one)


@pytest.mark.parametrize(
    "path", ["../elsewhere/a.png", "sub/../../elsewhere/a.png", "link.png", "folder/a.png", "/etc/passwd", "{other}"]
)
def test_no_path_leaves_the_folder_for_reading(http: str, root: Path, path: str) -> None:
    told = fault(http, path=path.format(other=root.parent / "elsewhere" / "a.png"))
    assert (told["code"], told["field"]) == ("INVALID_ARGUMENT", "images[0].path")
    assert "leaves the allowed folder" in told["message"]
    assert str(root.parent) not in told["message"]


def test_absolute_paths_and_links_inside_of_the_folder_are_read(http: str, root: Path) -> None:
    told = upscale(http, path=["a.png", str(root / "a.png"), "inner/a.png", "sub/../a.png"]).json
    assert len(told["results"]) == 4


@pytest.mark.parametrize("path", ["gone.png", "sub", "a\0b", "x" * 300, ""])
def test_what_cannot_be_read_is_told_without_this_machines_folders(http: str, root: Path, path: str) -> None:
    answer = upscale(http, images=[{"path": path}])
    told = answer.json["faults"][0] if answer.status == 200 else answer.json
    assert told["field"] == "images[0].path"
    assert str(root.parent) not in json.dumps(told)


@pytest.mark.parametrize("place", ["..", "../elsewhere", "sub/../../x", "folder", "/tmp", "{other}", "a\0b"])
@pytest.mark.parametrize("parameter", ["output_dir", "output_path"])
def test_no_path_leaves_the_folder_for_writing(http: str, root: Path, place: str, parameter: str) -> None:
    before = sorted(root.parent.rglob("*"))
    given = place.format(other=root.parent / "elsewhere")
    answer = upscale(http, path="a.png", **{parameter: given if parameter == "output_dir" else f"{given}/x.png"})
    assert (answer.status, answer.json["field"]) == (400, parameter)
    assert sorted(root.parent.rglob("*")) == before


def test_without_the_settings_nothing_is_read_or_written(http: str, root: Path, limit: Callable[..., None]) -> None:
    limit(allow_path=str(root))
    assert "--allow-write" in upscale(http, path="a.png", output_dir="x").json["detail"]
    limit(allow_write=str(root))
    assert "--allow-path" in fault(http, path="a.png")["message"]


def test_an_input_is_never_replaced(http: str, root: Path) -> None:
    os.link(root / "a.png", root / "hard.png")
    (root / "soft.png").symlink_to(root / "a.png")
    content = (root / "a.png").read_bytes()
    for name in ("a.png", "hard.png", "soft.png", "inner/../a.png"):
        told = fault(http, path="a.png", output_path=name, overwrite=True)
        assert (told["code"], told["field"]) == ("INVALID_ARGUMENT", "output_path")
    (root / "a-x2.png").write_bytes(content)  # the name of the first result is that of the second input
    told = upscale(http, path=["a.png", "a-x2.png"], output_dir=".", overwrite=True).json
    assert [one["path"] for one in told["results"]] == ["a-x2-x2.png"]
    assert (root / "a.png").read_bytes() == (root / "a-x2.png").read_bytes() == content


def test_a_file_that_is_there_is_replaced_only_if_that_is_wanted(http: str, root: Path) -> None:
    (root / "out.png").write_bytes(b"mine")
    told = fault(http, path="a.png", output_path="out.png")
    assert (told["code"], (root / "out.png").read_bytes()) == ("ALREADY_EXISTS", b"mine")
    (root / "leads.png").symlink_to(root.parent / "elsewhere" / "a.png")
    for name in ("out.png", "leads.png"):
        assert upscale(http, path="a.png", output_path=name, overwrite=True).json["results"][0]["path"] == name
    assert not (root / "leads.png").is_symlink()  # the link was replaced, and not what it leads to
    assert (root.parent / "elsewhere" / "a.png").read_bytes() == encoded(PIXELS)
    (root / "made.png").mkdir()
    assert "is a folder" in fault(http, path="a.png", output_path="made.png", overwrite=True)["message"]


def test_a_disk_that_refuses_fails_the_item(http: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise CannotWrite(28, "No space left on device", str(path))

    monkeypatch.setattr(destination, "write_file", full)
    told = fault(http, path="a.png", output_dir="new")
    assert (told["code"], told["field"]) == ("RESOURCE_EXHAUSTED", "output_dir")
    assert told["message"] == "new/a-x2.png cannot be written: No space left on device"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"output_path": "x"}, "output_path"),
        ({"output_path": "x.tiff"}, "output_path"),
        ({"output_path": "x.png", "format": "webp"}, "format"),
        ({"output_dir": "x", "format": "tensor"}, "format"),
        ({"output_dir": "x", "output_path": "x.png"}, "output_path"),
        ({"output_path": "x.png", "path": ["a.png", "a.png"]}, "output_path"),
        ({"overwrite": True}, "overwrite"),
    ],
)
def test_what_does_not_go_together(http: str, root: Path, members: dict[str, Any], field: str) -> None:
    answer = upscale(http, **{"path": "a.png", **members})
    assert (answer.status, answer.json["field"]) == (400, field)


@pytest.mark.parametrize(
    ("stems", "named"),
    [
        (["a", "b"], ["a", "b"]),
        (["", ""], ["0", "1"]),
        (["a", "A"], ["0-a", "1-A"]),  # as some file systems see it
        (["", "0"], ["0", "1-0"]),
        (["a", "a", "0-a"], ["0-a", "1-a", "2-0-a"]),
    ],
)
def test_files_about_several_pictures_have_different_names(stems: list[str], named: list[str]) -> None:
    assert stems_of(stems) == named


def test_the_old_routes_take_their_own_names(http: str, root: Path) -> None:
    answer = call(http, "POST", "/super_resolution_batch", json.dumps({"image_paths": ["a.png"], "upscale": 4}), JSON)
    assert (answer.status, answer.json["field"]) == (400, "output_dir")
    wanted = {"image_paths": ["a.png", "gone.png"], "upscale": 4, "save_dir": "large"}
    told = call(http, "POST", "/super_resolution_batch", json.dumps(wanted), JSON).json
    assert [one["path"] for one in told["results"]] == ["large/a-x4.png"]
    assert [one["index"] for one in told["faults"]] == [1]
    pairs = post(http, {"pair_paths": "large/a-x4.png"}, path="/evaluate_pairs", image=None).json
    assert "match" in pairs["results"][0]["scores"]
    fields: dict[str, Any] = {"image_path": "a.png", "any_ratio": "true", "size": "20x16", "save_dir": "views"}
    told = post(http, fields | {"intervals": 1}, path="/preprocess_for_group", image=None).json
    assert [one["path"] for one in told["results"]] == ["views/a-1-pair.png"]
    cameras = json.dumps([told["results"][0]["cameras"]])
    fields |= {"cameras": cameras, "num_views": 2}
    told = post(http, fields, path="/generate_interpolated_images", image=None).json
    assert [one["path"] for one in told["results"]] == ["views/a-view-01.png", "views/a-view-02.png"]
    assert all((root / one["path"]).is_file() for one in told["results"])


def test_a_path_for_writing_is_checked_by_one_function(root: Path) -> None:
    assert destination.allowed_file("inner/new/x.png", "f") == root / "sub" / "new" / "x.png"
    with pytest.raises(InvalidInput, match="leaves"):
        destination.allowed_file("..", "f")

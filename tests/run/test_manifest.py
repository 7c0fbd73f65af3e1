"""A manifest's lines: what they mean, and that a broken one is told apart and spoils no other."""

import io
import json
from pathlib import Path

import pytest

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.manifest import MAX_LINE, Line, count_lines, open_manifest, read_tasks
from tensorhop.orchestrator.run.photo_request import Destination, PhotoOptions, PhotoRequest, PhotoTask, photo_request

COMMON = PhotoOptions(rot=10, max_objects=2)


def plan(line: Line) -> PhotoRequest:
    return photo_request(COMMON.under(line.options), Destination(Path("out")), phrases=line.phrases, boxes=line.boxes)


def tasks(text: bytes) -> list[PhotoTask]:
    return list(read_tasks(io.BytesIO(text), Path("photos"), plan))


def test_a_line_says_what_to_do() -> None:
    line = {
        "image": "a/cup.jpg",
        "phrases": ["cup"],
        "boxes": [[1, 2, 3.5, 4]],
        "options": {"rot": 90, "format": "webp", "shadow-length": 1, "max_parallel": 2, "center": False},
    }
    (task,) = tasks(json.dumps(line).encode())
    assert (task.photo.name, task.photo.stem, task.photo.path) == ("a/cup.jpg", "1-cup", Path("photos/a/cup.jpg"))
    assert isinstance(task.wanted, PhotoRequest)
    request = task.wanted.request
    assert (request["phrases"], request["boxes"]) == (["cup"], [(1, 2, 3.5, 4)])
    assert (request["finish"].rot, request["finish"].length, request["finish"].center) == (90, 1, False)
    assert (request["max_objects"], request["max_parallel"]) == (2, 2)  # the command line's, and the line's
    assert task.wanted.template == "{stem}-{index}.webp"


def test_lines_do_not_change_each_other() -> None:
    first, second = tasks(b'{"image": "a.jpg", "options": {"rot": 90, "preset": "marketplace"}}\n{"image": "a.jpg"}')
    assert isinstance(first.wanted, PhotoRequest)
    assert isinstance(second.wanted, PhotoRequest)
    assert first.wanted.request["output"].encoding == "jpeg"
    assert (second.wanted.request["finish"].rot, second.wanted.request["output"].encoding) == (10, "png")
    assert first.photo.stem != second.photo.stem


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        (b"nonsense", "line", "not JSON"),
        (b'{"image": "a.jpg"', "line", "not JSON"),
        (b"\xff\xfe", "line", "not JSON"),
        (b'{"image": "a.jpg", "boxes": ' + b"[" * 9000, "line", "not JSON"),
        (b"[1, 2]", "line", "[1, 2]; a JSON object"),
        (b"{}", "image", "missing"),
        (b'{"image": ""}', "image", "at least 1"),
        (b'{"image": 3}', "image", "3: input should be a valid string"),
        (b'{"image": "a.jpg", "bbox": []}', "bbox", "known are image, phrases, boxes, options"),
        (b'{"image": "a.jpg", "phrases": "cup"}', "phrases", "'cup'"),
        (b'{"image": "a.jpg", "boxes": [1, 2, 3, 4]}', "boxes[0]", "1: input should be a valid"),
        (b'{"image": "a.jpg", "boxes": [[1, 2, 3]]}', "boxes[0]", "[1, 2, 3]; a box is [x0, y0, x1, y1]"),
        (b'{"image": "a.jpg", "boxes": [[1, 2, 3, "4"]]}', "boxes[0][3]", "'4': input should be a valid number"),
        (b'{"image": "a.jpg", "boxes": [[1, 2, 3, NaN]]}', "boxes[0][3]", "finite"),
        (b'{"image": "a.jpg", "options": [1]}', "options", "[1]; a JSON object"),
        (b'{"image": "a.jpg", "options": {"rott": 1}}', "options.rott", "max-objects, max-parallel, merge, preset"),
        (b'{"image": "a.jpg", "options": {"out": "/"}}', "options.out", "not known"),
        (b'{"image": "a.jpg", "options": {"rot": "90"}}', "options.rot", "'90'"),
        (b'{"image": "a.jpg", "options": {"rot": true}}', "options.rot", "True"),
        (b'{"image": "a.jpg", "options": {"rot": 1e999}}', "finish.shadow.rot", "finite"),
        (b'{"image": "a.jpg", "options": {"format": "gif"}}', "options.format", "'png', 'webp' or 'jpeg'"),
        (b'{"image": "a.jpg", "options": {"fill": 7}}', "finish.fill", "7"),
        (b'{"image": "a.jpg", "options": {"max-objects": 0}}', "options.max-objects", "greater than or equal to 1"),
        (b'{"image": "a.jpg", "options": {"center": false, "canvas": "9x9"}}', "options:", "--canvas"),
        (b'{"image": "a.jpg", "options": {"canvas": "9"}}', "options:", "WxH"),
    ],
)
def test_a_broken_line_names_its_fault_and_the_next_is_read(text: bytes, field: str, says: str) -> None:
    broken, good = tasks(text + b'\n{"image": "b.jpg"}\n')
    assert isinstance(broken.wanted, InvalidInput)
    assert broken.wanted.field == field
    assert says in str(broken.wanted)
    assert (broken.line, good.line) == (1, 2)
    assert isinstance(good.wanted, PhotoRequest)
    if b'"a.jpg"' in text and field != "line":
        assert broken.photo.name == "a.jpg"


def test_a_long_line_is_refused_and_not_held() -> None:
    class Counted(io.BytesIO):
        most = 0

        def readline(self, size: int | None = -1) -> bytes:
            data = super().readline(size)
            self.most = max(self.most, len(data))
            return data

    fitting = b'{"image": "a.jpg"}'
    file = Counted(b"x" * 10_000_000 + b"\n" + fitting.ljust(MAX_LINE) + b"\n" + fitting.ljust(MAX_LINE + 1))
    long, good, last = read_tasks(file, Path(), plan)
    assert str(long.wanted) == str(last.wanted) == "line has over 1,048,576 bytes; that is the most"
    assert isinstance(good.wanted, PhotoRequest)
    assert file.most <= MAX_LINE + 1


def test_blank_lines_are_numbered_and_left_out() -> None:
    assert [task.line for task in tasks(b'\xef\xbb\xbf{"image": "a.jpg"}\r\n\n  \n{"image": "b.jpg"}')] == [1, 4]


def test_lines_are_read_when_they_are_asked_for() -> None:
    file = io.BytesIO(b'{"image": "a.jpg"}\n' * 1000)
    next(read_tasks(file, Path(), plan))
    assert file.tell() == 19


def test_opening_and_counting(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"{}\n" * 1000)
    assert count_lines(str(path)) == 1000
    assert count_lines("-") is None
    with open_manifest(str(path)) as file:
        assert file.readline() == b"{}\n"
    for name in (str(tmp_path), str(tmp_path / "none"), "a\0b"):
        with pytest.raises(WrongUse, match="--manifest"):
            open_manifest(name)


def test_a_last_line_without_an_end_counts(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b"{}\n{}")
    assert count_lines(str(tmp_path / "m.jsonl")) == 2

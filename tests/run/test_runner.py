"""A run of several photos: at once, in order, resumed, stopped. Masks are given, so that no model runs."""

import errno
import io
import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from waiting import GUARD

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.run.inputs import Input
from tensorhop.orchestrator.run.manifest import read_tasks
from tensorhop.orchestrator.run.own_files import Rights
from tensorhop.orchestrator.run.photo_request import Destination, PhotoOptions, PhotoRequest, PhotoTask, photo_request
from tensorhop.orchestrator.run.reporter import Reporter
from tensorhop.orchestrator.run.runner import DONE, FAILED, NOTHING, UNREACHABLE, WINDOW, run
from tensorhop.rpc.server import Server
from tensorhop.v1 import fault_pb2

CAT = str(Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg")
OPTIONS = PhotoOptions(canvas="64x48", shadow="none")


class Recorder(Reporter):
    """Remembers how photos ended, in the order of their reports."""

    def __init__(self, **more: Any) -> None:
        super().__init__(as_json=False, **more)
        self.ended: list[tuple[str, str]] = []

    def end(self, task: PhotoTask, summary: dict[str, Any]) -> None:
        super().end(task, summary)
        self.ended.append((task.photo.stem, "skipped" if summary.get("skipped") else summary["status"]))


@pytest.fixture
def own(servers: dict[str, Server]) -> Iterator[PipelineClient]:
    """A client that a run may close."""
    with PipelineClient(servers["pipeline"].address) as client:
        yield client


@pytest.fixture
def photos(tmp_path: Path, cat: np.ndarray) -> list[Input]:
    """Six parts of a photo, each 60 x 40."""
    found = []
    for number in range(6):
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(cat[100:140, 50 * number : 50 * number + 60]).save(path)
        found.append(Input(str(path), path.stem))
    return found


def plan(out: Path, options: PhotoOptions = OPTIONS, **place: Any) -> PhotoRequest:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 255
    return photo_request(options, Destination(out, **place), masks=[mask])


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_all_files_and_reports_in_order(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    reporter = Recorder()
    assert run([PhotoTask(photo, plan(tmp_path / "out")) for photo in photos], own, reporter) == DONE
    assert reporter.ended == [(str(number), "done") for number in range(6)]
    kinds = ("-0.png", "-overview.png", ".json")
    assert files(tmp_path / "out") == {f"{number}{kind}" for number in range(6) for kind in kinds}


def test_as_many_as_jobs_are_under_way_at_once(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    meet = threading.Barrier(3)  # nobody goes on before three are here
    active, most, lock = 0, 0, threading.Lock()

    class Meeting:
        def process(self, image: bytes, **request: Any) -> Iterator[Any]:
            nonlocal active, most
            with lock:
                active += 1
                most = max(most, active)
            meet.wait(GUARD)
            yield from own.process(image, **request)
            with lock:
                active -= 1

    tasks = [PhotoTask(photo, plan(tmp_path / "out")) for photo in photos]
    assert run(tasks, Meeting(), Recorder(), jobs=3) == DONE  # type: ignore[arg-type]
    assert most == 3


def test_tasks_are_asked_for_only_a_few_ahead(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    ahead, bare = [], OPTIONS.model_copy(update={"overlay": False})
    reporter = Recorder()

    def tasks() -> Iterator[PhotoTask]:
        for number in range(30):
            ahead.append(number - len(reporter.ended))
            yield PhotoTask(Input(photos[0].name, str(number)), plan(tmp_path / "out", bare))

    assert run(tasks(), own, reporter, jobs=2) == DONE
    assert len(reporter.ended) == 30
    assert max(ahead) <= 2 * WINDOW + 1


def test_a_result_can_be_had_before_the_next_line_is_written(photos: list[Input], own: PipelineClient) -> None:
    """A program may write a line of a manifest, wait for its result, and only then write the next."""
    reported = threading.Semaphore(0)

    class Telling(Recorder):
        def end(self, task: PhotoTask, summary: dict[str, Any]) -> None:
            super().end(task, summary)
            reported.release()

    def tasks() -> Iterator[PhotoTask]:
        for number, photo in enumerate(photos[:3]):
            assert number == 0 or reported.acquire(timeout=GUARD)
            yield PhotoTask(photo, plan(Path(photo.name).parent.parent / "out"))

    reporter = Telling()
    assert run(tasks(), own, reporter) == DONE
    assert len(reporter.ended) == 3


def test_resume_does_only_what_is_missing(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def ends(options: PhotoOptions = OPTIONS) -> str:
        reporter = Recorder()
        tasks = [PhotoTask(photo, plan(out, options, rights=Rights(overwrite=True))) for photo in photos]
        assert run(tasks, own, reporter, resume=True) == DONE
        return "".join(end[0] for _, end in reporter.ended)

    assert ends() == "dddddd"
    written = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert ends() == "ssssss"
    assert written == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert ends(OPTIONS.model_copy(update={"max_parallel": 1})) == "ssssss"  # of no effect on the pictures

    (out / "0-0.png").unlink()
    (out / "1-overview.png").unlink()
    (out / "2.json").unlink()
    summary = json.loads((out / "3.json").read_text())
    (out / "3.json").write_text(json.dumps(summary | {"status": "failed"}))
    Path(photos[4].name).write_bytes(Path(photos[5].name).read_bytes())
    assert ends() == "ddddds"
    for broken in ("", "[]", "{", '{"status": "done"}'):
        (out / "0.json").write_text(broken)
        assert ends() == "dsssss"
    assert ends(OPTIONS.model_copy(update={"rot": 61.00001})) == "dddddd"


def test_resume_keeps_the_exit_code_of_nothing_found(own: PipelineClient, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("RGB", (60, 40), "grey").save(path)
    task = PhotoTask(Input(str(path), "grey"), photo_request(OPTIONS, Destination(tmp_path / "out"), phrases=["cat"]))
    for end in ("nothing", "skipped"):
        reporter = Recorder()
        assert run([task], own, reporter, resume=True) == NOTHING
        assert reporter.ended == [("grey", end)]


def test_a_failure_leaves_the_others_alone(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    Path(photos[1].name).write_bytes(b"no picture")
    Path(photos[3].name).unlink()
    reporter = Recorder()
    assert run([PhotoTask(photo, plan(tmp_path / "out")) for photo in photos], own, reporter) == FAILED
    assert [end for _, end in reporter.ended] == ["done", "failed", "done", "failed", "done", "done"]
    assert not any(name.startswith(("1", "3")) for name in files(tmp_path / "out"))


class BreaksOff:
    """A pipeline whose stream breaks off after a number of events."""

    def __init__(self, own: PipelineClient, events: int, error: Exception) -> None:
        self.own, self.events, self.error = own, events, error

    def process(self, image: bytes, **request: Any) -> Iterator[Any]:
        yield from itertools.islice(self.own.process(image, **request), self.events)
        raise self.error

    def close(self) -> None: ...


def test_a_photo_that_fails_leaves_one_run_in_the_folder(
    photos: list[Input], own: PipelineClient, tmp_path: Path
) -> None:
    """Before its first file the earlier run stays, after that the new one, whose summary says that it failed."""
    out, error = tmp_path / "out", ServiceFault(fault_pb2.Fault(code=fault_pb2.CODE_INTERNAL, step=3, message="broke"))
    task, other = PhotoTask(photos[0], plan(out)), OPTIONS.model_copy(update={"format": "webp"})
    assert run([task], own, Recorder()) == DONE
    before = {path: path.read_bytes() for path in out.iterdir()}
    again = PhotoTask(photos[0], plan(out, other))
    for broken in (BreaksOff(own, 0, error), BreaksOff(own, 1, error)):
        assert run([again], broken, Recorder()) == FAILED  # type: ignore[arg-type]
        assert before == {path: path.read_bytes() for path in out.iterdir()}
    assert run([again], BreaksOff(own, 2, error), Recorder()) == FAILED  # type: ignore[arg-type]
    assert files(out) == {"0-0.webp", "0.json"}
    summary = json.loads((out / "0.json").read_text())
    assert (summary["status"], summary["files"]) == ("failed", ["0-0.webp"])
    assert summary["events"][-1]["message"] == "broke"
    assert run([task], own, Recorder(), resume=True) == DONE
    assert files(out) == {"0-0.png", "0-overview.png", "0.json"}


def test_what_is_in_the_way_fails_its_photo_alone(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "1-0.png").write_text("mine")
    (out / "2-overview.png").mkdir()
    (out / "3.json").write_text("{}")
    reporter = Recorder()
    assert run([PhotoTask(photo, plan(out)) for photo in photos], own, reporter) == FAILED
    assert [end for _, end in reporter.ended] == ["done", "failed", "failed", "failed", "done", "done"]
    assert {name for name in files(out) if name[0] in "123"} == {"1-0.png", "2-overview.png", "3.json"}
    assert ((out / "1-0.png").read_text(), (out / "3.json").read_text()) == ("mine", "{}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_told_once_and_ends_the_run(
    photos: list[Input],
    own: PipelineClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    number: int,
) -> None:
    wrote, written = Path.write_bytes, []

    def write(path: Path, data: bytes) -> int:
        if len(written) >= 9:
            raise OSError(number, os.strerror(number))
        written.append(path)
        return wrote(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    reporter = Recorder()
    assert run([PhotoTask(photo, plan(tmp_path / "out")) for photo in photos], own, reporter, jobs=1) == FAILED
    assert [end for _, end in reporter.ended] == ["done", "done", "failed"]
    said = capsys.readouterr().err
    assert said.count(os.strerror(number)) == 1
    assert "UNAVAILABLE" not in said
    for path in (tmp_path / "out").glob("*.png"):
        Image.open(path).load()


@pytest.mark.parametrize("error", [OSError("input/output error"), RuntimeError("a bug")])
def test_tasks_that_break_off(
    photos: list[Input], own: PipelineClient, tmp_path: Path, error: Exception, capsys: pytest.CaptureFixture
) -> None:
    def tasks() -> Iterator[PhotoTask]:
        yield PhotoTask(photos[0], plan(tmp_path / "out"))
        raise error

    reporter = Recorder()
    if isinstance(error, OSError):
        assert run(tasks(), own, reporter) == FAILED
        assert "cannot be read on: input/output error" in capsys.readouterr().err
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            run(tasks(), own, reporter)
    assert reporter.ended == [("0", "done")]


def test_fail_fast_cancels_what_is_under_way(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    """The first photo never ends by itself; the second fails; the others are not begun."""
    Path(photos[1].name).unlink()
    held = threading.Event()
    began = []

    class Holding:
        def process(self, image: bytes, **request: Any) -> Iterator[Any]:
            began.append(image)
            held.wait(GUARD)
            fault = fault_pb2.Fault(code=fault_pb2.CODE_CANCELLED, message="cancelled")
            raise ServiceFault(fault)
            yield

        def close(self) -> None:
            held.set()

    reporter = Recorder()
    tasks = [PhotoTask(photo, plan(tmp_path / "out")) for photo in photos]
    assert run(tasks, Holding(), reporter, jobs=2, fail_fast=True) == FAILED  # type: ignore[arg-type]
    assert reporter.ended == [("1", "failed")]
    assert len(began) <= 1
    assert not (tmp_path / "out").exists()


def test_an_unreachable_pipeline_is_said_once(photos: list[Input], tmp_path: Path) -> None:
    reporter = Recorder()
    with PipelineClient("127.0.0.1:9") as nobody:
        assert run([PhotoTask(photo, plan(tmp_path / "out")) for photo in photos], nobody, reporter) == UNREACHABLE
    assert len(reporter.ended) == 1


def test_an_interrupt_ends_all_and_leaves_no_part_of_a_file(
    photos: list[Input], own: PipelineClient, tmp_path: Path
) -> None:
    class Interrupted(Recorder):
        def end(self, task: PhotoTask, summary: dict[str, Any]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([PhotoTask(photo, plan(tmp_path / "out")) for photo in photos], own, Interrupted())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("job-")]
    assert not [name for name in files(tmp_path / "out") if name.startswith(".")]


def test_results_of_a_manifest(photos: list[Input], own: PipelineClient, tmp_path: Path) -> None:
    lines = [
        {"image": CAT, "boxes": [[20, 10, 440, 300]], "phrases": ["cat"], "options": {"format": "webp"}},
        {"image": CAT, "boxes": [[20, 10, 440, 300]]},
        {"image": "none.png"},
        {"image": "1.png", "boxes": [[1, 2, 3]]},
        {"image": "1.png", "boxes": [[1, 2, 900, 30]], "options": {"max-objects": 100_000}},
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    place = Destination(tmp_path / "out")

    def results() -> list[dict[str, Any]]:
        written = io.StringIO()
        tasks = read_tasks(
            io.BytesIO(text),
            tmp_path / "in",
            lambda line: photo_request(OPTIONS.under(line.options), place, phrases=line.phrases, boxes=line.boxes),
        )
        assert run(tasks, own, Recorder(results=written), resume=True) == FAILED
        return [json.loads(line) for line in written.getvalue().splitlines()]

    first = results()
    assert [(row["line"], row["image"], row["status"]) for row in first] == [
        (1, CAT, "done"), (2, CAT, "done"), (3, "none.png", "failed"), (4, "1.png", "failed"),
        (5, "1.png", "failed"),
    ]  # fmt: skip
    assert first[0]["files"] == ["1-cat-0.webp", "1-cat-overview.png"]
    assert first[0]["objects"] == [{"index": 0, "label": "cat", "score": 1, "box": [20, 10, 440, 300]}]
    assert first[1]["files"] == ["2-cat-0.png", "2-cat-overview.png"]
    assert [(row["faults"][0]["code"], row["faults"][0]["field"]) for row in first[2:]] == [
        ("NOT_FOUND", ""), ("INVALID_ARGUMENT", "boxes[0]"), ("INVALID_ARGUMENT", "max_objects"),
    ]  # fmt: skip
    again = results()
    assert [row["skipped"] for row in again] == [True, True, False, False, False]
    assert [row | {"skipped": False} for row in again[:2]] == first[:2]

"""The folder of recordings: bounds, sampling, crashes, full disks, and pipelines that share it."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from tensorhop.errors import ServiceFault
from tensorhop.orchestrator.recording import store
from tensorhop.orchestrator.recording.recorder import Memory, Recorder
from tensorhop.orchestrator.recording.recording import Recording, RecordingError, find, names_in
from tensorhop.orchestrator.recording.store import Recordings
from tensorhop.settings import Settings
from tensorhop.v1 import fault_pb2
from tensorhop.v1 import pipeline_pb2 as pb
from tensorhop.wire.codec import Packet
from tensorhop.wire.messages import write_image
from tensorhop.wire.payloads import Payloads

NOISE = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)  # 30 kB, which PNG makes no smaller


def request(wished: bool = False) -> Packet[pb.ProcessRequest]:
    payloads = Payloads()
    return Packet(pb.ProcessRequest(image=write_image(NOISE, payloads), record=wished), payloads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def keep(folder: Path) -> Iterator[Callable[..., Recordings]]:
    """Records a request of each id, with settings."""

    def record(*ids: str, **settings: object) -> Recordings:
        recordings = Recordings(folder, "pipeline", {"segment": "cats.test:50053"}, Settings(**settings))
        with closing(recordings):
            for one in ids:
                recorder = recordings.begin(one, request(wished=True))
                assert recorder is not None
                recordings.keep(recorder)
        return recordings

    yield record
    assert store.MEMORY.take(512 * 1024 * 1024), "a recording has kept its memory"
    store.MEMORY.give_back(512 * 1024 * 1024)


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("tensorhop_recordings_total", {"outcome": outcome}) or 0.0


def test_only_the_owner_can_read_it(keep: Callable[..., Recordings], folder: Path) -> None:
    keep("a")
    modes = {oct(path.stat().st_mode)[-3:] for path in (folder, folder / "a")}
    assert modes == {"700"}
    assert {oct(path.stat().st_mode)[-3:] for path in (folder / "a").iterdir()} == {"600"}


@pytest.mark.parametrize("name", ["../a", "a/b", ".", "..", "a b", "%2E", "x" * 128, "/" * 128])
def test_any_id_becomes_one_folder_inside(keep: Callable[..., Recordings], folder: Path, name: str) -> None:
    keep(name)
    assert [path.parent for path in folder.rglob("recording.json")] == list(folder.iterdir())
    assert find(folder, name).id == name


def test_bounded_by_bytes_the_oldest_go(keep: Callable[..., Recordings], folder: Path) -> None:
    keep("a", "b", "c", record_bytes=70_000)
    assert {path.name for path in folder.iterdir()} == {"b", "c"}
    keep("d", record_bytes="70kB")  # of another process: it finds what is there
    assert {path.name for path in folder.iterdir()} == {"c", "d"}
    failed = outcomes("failed")
    keep("e", record_bytes=1000)
    assert outcomes("failed") == failed + 1
    assert {path.name for path in folder.iterdir()} == {"c", "d"}


def test_bounded_by_age_and_nothing_else_is_removed(keep: Callable[..., Recordings], folder: Path) -> None:
    keep("old", "new")
    (folder / "mine").mkdir()
    (folder / "mine.txt").write_text("mine")
    for name in ("old", "mine", "mine.txt"):
        os.utime(folder / name, (1, 1))
    keep("last", record_age="1h")
    assert {path.name for path in folder.iterdir()} == {"new", "last", "mine", "mine.txt"}


def test_remains_of_a_crash_are_never_seen_and_go(keep: Callable[..., Recordings], folder: Path) -> None:
    keep("a")
    for name, age in ((".tensorhop-0123", 7200), (".tensorhop-4567", 0)):
        (folder / name).mkdir()
        (folder / name / "recording.json").write_text("{")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert names_in(folder) == ["a"]
    keep("b")
    assert {path.name for path in folder.iterdir()} == {"a", "b", ".tensorhop-4567"}


def test_sampling_and_wishes(folder: Path) -> None:
    with closing(Recordings(folder, "pipeline", {}, Settings(record_sample=0))) as none:
        assert none.begin("a", request()) is None
        wished = none.begin("a", request(wished=True))
        assert wished is not None
        wished.close()
    with closing(Recordings(folder, "pipeline", {}, Settings(record_sample=0.5))) as half:
        taken = [recorder for _ in range(200) if (recorder := half.begin("a", request()))]
    for recorder in taken:
        recorder.close()
    assert 60 < len(taken) < 140


def test_pipelines_may_share_a_folder(keep: Callable[..., Recordings], folder: Path) -> None:
    threads = [threading.Thread(target=keep, args=("same", f"own{number}", "same")) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {"same", *(f"same~{number}" for number in range(2, 7)), "own0", "own1", "own2"}
    assert {path.name for path in folder.iterdir()} == names
    assert {Recording.load(path).id for path in folder.glob("same*")} == {"same"}
    assert find(folder, "same").folder == folder / "same"


def test_a_full_disk_leaves_nothing_and_is_told_once(
    keep: Callable[..., Recordings], folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[str] = []

    def full(path: str, flags: int) -> int:
        written.append(path)
        if len(written) % 2 == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.open(path, flags, 0o600)

    failed = outcomes("failed")
    monkeypatch.setattr(store, "for_owner", full)
    keep("a", "b")
    assert list(folder.iterdir()) == []
    assert outcomes("failed") == failed + 2
    assert len([one for one in caplog.messages if "No space left" in one]) == 1
    monkeypatch.undo()
    keep("c")
    assert names_in(folder) == ["c"]


def test_what_no_memory_can_hold_is_not_recorded(folder: Path) -> None:
    recorder = Recorder("a", "pipeline", request(), memory := Memory(NOISE.nbytes + 1))
    assert recorder.error is None
    second = Recorder("b", "pipeline", request(), memory)
    assert isinstance(second.error, MemoryError)
    recorder.close()
    second.close()
    assert memory.take(NOISE.nbytes)


def test_addresses_are_left_out(folder: Path) -> None:
    said = "segment: nothing answers at cats.test:50053; ipv4:10.0.0.7:50053: refused, [::1]:50053 too"
    with closing(Recordings(folder, "pipeline", {"segment": "cats.test:50053"}, Settings())) as recordings:
        recorder = recordings.begin("a", request())
        assert recorder is not None
        recorder.fault = ServiceFault(fault_pb2.Fault(message=said)).fault
        recordings.keep(recorder)
    fault = json.loads((folder / "a" / "recording.json").read_text())["fault"]
    assert fault["message"] == "segment: nothing answers at segment; [address] refused, [address] too"


def test_what_cannot_be_read_is_said(keep: Callable[..., Recordings], folder: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        names_in(folder)
    keep("abc1", "abc2")
    for wanted, says in (("ab", "2 recordings begin with 'ab'"), ("x", "no recording whose id begins with 'x'")):
        with pytest.raises(RecordingError, match=says):
            find(folder, wanted)
    (folder / "abc1" / "image.png").write_bytes((folder / "abc1" / "image.png").read_bytes()[:100])
    with pytest.raises(RecordingError, match=r"image\.png of abc1 cannot be read"):
        find(folder, "abc1").request()
    for broken in ("{", "[]", '{"schema": 99}', '{"schema": 1}'):
        (folder / "abc2" / "recording.json").write_text(broken)
        with pytest.raises(RecordingError):
            find(folder, "abc2")
    with pytest.raises(RecordingError, match="Not a directory"):
        names_in(folder / "abc1" / "recording.json")

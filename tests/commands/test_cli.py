"""The `tensorhop` command as a user runs it: a process, real photos, files, streams and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from waiting import GUARD

from tensorhop.rpc.server import Server
from tensorhop.values.images import decode_image

pytestmark = pytest.mark.slow

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
CAT, COFFEE = PHOTOS / "cat.jpg", PHOTOS / "coffee.jpg"


def tensorhop(*arguments: object, **more: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", *map(str, arguments)]
    return subprocess.run(command, **{"capture_output": True, "timeout": 120, **more})


@pytest.fixture(scope="module")
def endpoint(servers: dict[str, Server]) -> str:
    return servers["pipeline"].address


def test_run_writes_pictures_overview_and_summary(tmp_path: Path) -> None:
    done = tensorhop("run", CAT, "-o", tmp_path)  # without an endpoint: the services start inside
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat-0.png", "cat-overview.png", "cat.json"]
    picture = cv2.imread(str(tmp_path / "cat-0.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (1024, 1024, 4)
    assert decode_image((tmp_path / "cat-overview.png").read_bytes()).shape == (300, 451, 3)
    summary = json.loads((tmp_path / "cat.json").read_text())
    assert [event["event"] for event in summary["events"]] == ["description", "detections", "object", "summary"]
    assert summary["events"][2]["file"] == str(tmp_path / "cat-0.png")
    lines = done.stderr.decode().splitlines()
    for number, head in enumerate(["cat.jpg", "describe", "detect", "object 0", "done"]):
        assert head in lines[number]
    assert done.stdout == b""


def test_json_is_one_event_a_line_and_nothing_else(endpoint: str, tmp_path: Path) -> None:
    done = tensorhop("run", CAT, "-o", tmp_path, "--json", "--endpoint", endpoint)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["description", "detections", "object", "summary"]
    assert {event["image"] for event in events} == {str(CAT)}
    assert events[2]["index"] == 0
    assert len(events[2]["box"]) == 4


def test_standard_input_to_standard_output(endpoint: str) -> None:
    done = tensorhop("run", "-", "-o", "-", "--endpoint", endpoint, input=CAT.read_bytes())
    assert done.returncode == 0
    assert decode_image(done.stdout).shape == (1024, 1024, 3)


def test_one_file(endpoint: str, tmp_path: Path) -> None:
    done = tensorhop("run", CAT, "-o", tmp_path / "new" / "cut.png", "--no-center", "--json", "--endpoint", endpoint)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert [path.name for path in tmp_path.rglob("*.*")] == ["cut.png"]
    picture = cv2.imread(str(tmp_path / "new" / "cut.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (300, 451, 4)


def test_a_preset_writes_what_it_says(endpoint: str, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), cv2.circle(np.zeros((300, 451), np.uint8), (200, 150), 90, 255, -1))
    run = ("run", CAT, "--mask", mask, "--preset", "marketplace", "--canvas", "300x300", "--endpoint", endpoint)
    done = tensorhop(*run, "-o", tmp_path, "--json", "--no-overlay")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["file"] for event in events if event["event"] == "object"] == [str(tmp_path / "cat-0.jpg")]
    pixels = decode_image((tmp_path / "cat-0.jpg").read_bytes())
    rows, columns = np.nonzero((pixels < 255).any(axis=2))
    assert pixels.shape == (300, 300, 3)
    for places in (rows, columns):
        assert np.ptp(places) + 1 == pytest.approx(0.85 * 300, abs=4)


def test_same_stems_do_not_overwrite_each_other(endpoint: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cat.jpg").write_bytes(CAT.read_bytes())
    out = tmp_path / "out"
    done = tensorhop("run", tmp_path, "-r", "-o", out, "--no-overlay", "--endpoint", endpoint)
    assert done.returncode == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == ["a/cat-0.png", "b/cat-0.png"]
    done = tensorhop("run", tmp_path, "-r", "-o", out, "--no-overlay", "--resume", "--endpoint", endpoint)
    assert done.returncode == 0
    assert b"2 photos: 2 skipped" in done.stderr


def test_a_broken_file_does_not_stop_the_others(endpoint: str, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(CAT.read_bytes()[:5000])
    (photos / "b.jpg").write_bytes(CAT.read_bytes())
    done = tensorhop("run", photos, "-o", out, "--endpoint", endpoint, "--json")
    assert done.returncode == 1
    assert (out / "b-0.png").exists()
    error = json.loads(done.stdout.splitlines()[0])
    assert (error["event"], error["code"], error["field"]) == ("error", "INVALID_ARGUMENT", "image.encoded")
    stopped = tensorhop("run", photos, "-o", tmp_path / "other", "--endpoint", endpoint, "--fail-fast")
    assert stopped.returncode == 1
    assert not (tmp_path / "other").exists()


def test_save_steps_writes_every_intermediate(endpoint: str, tmp_path: Path) -> None:
    done = tensorhop("run", CAT, "-o", tmp_path / "o", "--save-steps", tmp_path / "s", "--endpoint", endpoint)
    assert done.returncode == 0
    names = {"photo", "describe", "detect", "0-segment", "0-cutout", "0-shadow", "0-picture"}
    folder = tmp_path / "s" / "cat"
    assert {path.stem for path in folder.glob("*.npy")} == names
    assert {path.stem for path in folder.glob("*.png")} == names | {"0-file"}  # what the caller got is a file already
    assert (folder / "0-file.png").read_bytes() == (tmp_path / "o" / "cat-0.png").read_bytes()
    assert (folder / "image.jpg").read_bytes() == CAT.read_bytes()
    assert json.loads((folder / "recording.json").read_text())["events"][-1]["summary"]["objects"] == 1
    np.testing.assert_array_equal(np.load(folder / "photo.npy"), decode_image(CAT.read_bytes()))
    assert json.loads((folder / "words.json").read_text())["detections"][0]["index"] == 0


def test_box_mask_prompt_and_template(endpoint: str, tmp_path: Path) -> None:
    run = ("-o", tmp_path, "--no-overlay", "--endpoint", endpoint)
    assert (
        tensorhop(
            "run", CAT, "--box", "20,10,440,300", "--prompt", "a/b", "--name", "{stem}/{label}-{index}.png", *run
        ).returncode
        == 0
    )
    assert (tmp_path / "cat" / "a_b-0.png").exists()
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.full((300, 451), 255, np.uint8))
    done = tensorhop("run", CAT, "--mask", mask, "--no-center", "--shadow", "none", "--no-decontaminate", *run)
    assert done.returncode == 0
    written = decode_image((tmp_path / "cat-0.png").read_bytes())
    np.testing.assert_array_equal(written, decode_image(CAT.read_bytes()))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-objects", 0], "max-objects"),
        (["--box", "1,2,3"], "x0,y0,x1,y1"),
        (["--box", "9,9,1,1"], "x0 < x1"),
        (["--box", "nan,0,1,1"], "finite"),
        (["--box", "900,0,950,9"], "outside of the photo"),
        (["--mask", COFFEE], "600 x 400 pixels; the upright photo is 451 x 300"),
        (["--mask", PHOTOS / "NOTICE"], "not an image"),
        (["--mask", "missing.png"], "missing.png"),
        ([COFFEE, "--box", "0,0,9,9"], "one photo"),
        (["--rot", "inf"], "finite"),
        (["--name", "{stem}.png"], "{index}"),
        (["--name", "{nonsense}-{index}.png"], "nonsense"),
        (["--name", "../{stem}-{index}.png"], "leaves"),
        (["-o", "cut.tif"], ".png"),
        ([COFFEE, "-o", "cut.png"], "directory"),
        (["-o", "-", "--json"], "standard output"),
        (["-o", "cut.png", "--overlay"], "--overlay"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_wrong_use_is_exit_code_2(endpoint: str, tmp_path: Path, arguments: list, says: str) -> None:
    done = tensorhop("run", CAT, *arguments, "--endpoint", endpoint, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in " ".join(done.stderr.decode().replace("│", " ").split())
    assert not list(tmp_path.glob("*.png"))


def test_nothing_found_is_exit_code_3(endpoint: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), np.full((200, 300, 3), 128, np.uint8))
    assert tensorhop("run", plain, "-o", tmp_path / "out", "--endpoint", endpoint).returncode == 3


def test_missing_file_is_exit_code_1(endpoint: str, tmp_path: Path) -> None:
    done = tensorhop("run", tmp_path / "none.jpg", "-o", tmp_path / "out", "--endpoint", endpoint)
    assert done.returncode == 1
    assert b"none.jpg" in done.stderr


def test_no_endpoint_is_exit_code_4(tmp_path: Path) -> None:
    done = tensorhop("run", CAT, "-o", tmp_path, env={**os.environ, "TENSORHOP_ENDPOINT": "127.0.0.1:9"})
    assert done.returncode == 4
    assert b"nothing answers at 127.0.0.1:9; start it with tensorhop up" in done.stderr


def test_standard_output_is_refused_on_a_terminal(endpoint: str) -> None:
    terminal, other = os.openpty()
    done = tensorhop(
        "run", CAT, "-o", "-", "--endpoint", endpoint, capture_output=False, stdout=other, stderr=subprocess.PIPE
    )
    os.close(terminal)
    os.close(other)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


def test_interrupt_is_exit_code_130(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(50):
        (photos / f"{number:02}.jpg").write_bytes(COFFEE.read_bytes())
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "run", photos, "-o", tmp_path / "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"done" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(GUARD) == 130
        assert process.stderr.read().splitlines()[-1] == b"interrupted"


def test_sigterm_is_exit_code_143_also_while_standard_input_is_awaited(endpoint: str, tmp_path: Path) -> None:
    run = ["run", "--manifest", "-", "-o", str(tmp_path / "out"), "--json", "--endpoint", endpoint]
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", *run]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["faults"][0]["field"] == "image"
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD) == 143
        assert process.stderr.read().splitlines()[-1] == b"terminated"


def test_a_manifest_line_by_line(endpoint: str, tmp_path: Path) -> None:
    """Each result comes before the next line is written."""
    out = tmp_path / "out"
    run = ["run", "--manifest", "-", "-o", out, "--json", "--no-overlay", "--endpoint", endpoint]
    command = [sys.executable, "-P", "-m", "tensorhop.orchestrator", *map(str, run)]
    with subprocess.Popen(
        command, cwd=PHOTOS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        results = []
        for line in ('{"image": "cat.jpg", "boxes": [[20, 10, 440, 300]]}', '{"image": "cat.jpg", "rot": 1}'):
            print(line, file=process.stdin, flush=True)
            results.append(process.stdout.readline())
        process.stdin.close()
        assert process.wait(GUARD) == 1
    assert [json.loads(result)["status"] for result in results] == ["done", "failed"]
    assert (out / "results.jsonl").read_text() == "".join(results)
    assert {path.name for path in out.iterdir()} == {"1-cat-0.png", "1-cat.json", "results.jsonl"}


def test_help_is_quick_and_whole() -> None:
    started = time.monotonic()
    text = tensorhop("run", "--help").stdout.decode()
    assert time.monotonic() - started < 20
    for name in (
        "--prompt",
        "--box",
        "--mask",
        "--rot",
        "--shadow",
        "--canvas",
        "--preset",
        "--save-steps",
        "TENSORHOP_ENDPOINT",
    ):
        assert name in text

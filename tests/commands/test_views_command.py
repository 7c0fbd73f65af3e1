"""`tensorhop views`: its files, what it says, and its exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_views import Script, fake_chain
from typer.testing import CliRunner, Result

from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.commands.panoramas.contact_sheet import GAP, HEIGHT, draw_sheet
from tensorhop.values.images import decode_image
from tensorhop.values.images.png import encode_png

SMALL = ["--size", "32x24", "--views", "2", "--interval", "1", "--interval", "2"]


@pytest.fixture
def script() -> Script:
    found = Script(scores={2: 0.1})
    found.pause.set()
    return found


@pytest.fixture
def endpoint(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a chain, and a panorama pano.png in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("pano.png").write_bytes(encode_png(np.zeros((64, 128, 3), np.uint8)))
    with fake_chain(script) as front:
        yield front.address


def views(endpoint: str, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "500"}).invoke(app, ["views", "--endpoint", endpoint, *words])


def test_it_writes_pictures_a_sheet_and_a_report_per_interval(endpoint: str) -> None:
    done = views(endpoint, "pano.png", "pano.png", "-o", "out", *SMALL)
    assert done.exit_code == 0, done.output
    pictures = [f"pano-1-view-{p}-0{w}{larger}.png" for p in (1, 2) for w in (1, 2) for larger in ("", "-x2")]
    pairs = [f"pano-{interval}-{what}.png" for interval in (1, 2) for what in ("pair-1", "pair-2", "sheet")]
    assert {path.name for path in Path("out").iterdir()} == {*pictures, *pairs, "pano-1.json", "pano-2.json"}
    assert decode_image(Path("out/pano-1-view-2-01-x2.png").read_bytes()).shape == (48, 64, 3)
    sheet = decode_image(Path("out/pano-1-sheet.png").read_bytes())
    small = round(32 * HEIGHT / 24)
    assert sheet.shape[0] == 2 * (HEIGHT + GAP) + GAP
    assert abs(sheet.shape[1] - (4 * (small + GAP) + GAP)) <= 4
    kept, left_out = (json.loads(Path(f"out/pano-{interval}.json").read_text()) for interval in (1, 2))
    assert (kept["interval"], kept["status"], left_out["status"]) == (1, "done", "nothing")
    assert {*kept["files"]} == {*pictures, *(name for name in pairs if name.startswith("pano-1"))}
    assert kept["panoramas"] == ["pano.png", "pano.png"]
    rows = [row for row in kept["events"] if row["event"] == "view"]
    assert {row["file"] for row in rows} == {*pictures}
    assert rows[0]["camera"]["xi"] == 0.5
    assert {row["event"] for row in kept["events"]} == {"pair", "score", "decision", "description", "view"}
    assert "interval 2  not kept: score 0.10, and --min-score is 0.7" in done.output
    assert "1 of 2 intervals kept, 4 views, 4 enlarged" in done.output
    assert "No interval is kept" not in done.output


def test_where_nothing_is_kept_it_says_why_and_what_to_do(endpoint: str, script: Script) -> None:
    script.scores = {1: 0.3, 2: 0.1}
    done = views(endpoint, "pano.png", *SMALL)
    assert done.exit_code == 3
    assert done.output.endswith(
        "No interval is kept: the best score is 0.30, and --min-score is 0.7. "
        "Give a lower --min-score, or --min-score 0 to keep all.\n"
    )
    assert views(endpoint, "pano.png", *SMALL, "--min-score", "0").exit_code == 0


def test_it_prints_events_as_json(endpoint: str) -> None:
    done = views(endpoint, "pano.png", *SMALL, "--json", "--encoding", "jpeg")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[0]["file"].endswith("-pair-1.jpg")
    assert (rows[-1]["event"], rows[-1]["kept"]) == ("summary", 1)


def test_a_second_run_replaces_its_own_files_and_no_others(endpoint: str) -> None:
    assert views(endpoint, "pano.png", *SMALL).exit_code == 0
    again = views(endpoint, "pano.png", *SMALL, "--views", "1")
    assert again.exit_code == 0, again.output
    assert not Path("out/pano-1-view-1-02.png").exists()
    Path("out/pano-1-pair-1.png").write_bytes(b"mine")
    refused = views(endpoint, "pano.png", *SMALL)
    assert (refused.exit_code, Path("out/pano-1-pair-1.png").read_bytes()) == (2, b"mine")
    assert "out/pano-1-pair-1.png is there, and no earlier run wrote it" in refused.output
    assert views(endpoint, "pano.png", *SMALL, "--overwrite").exit_code == 0


def test_it_never_writes_over_a_panorama(endpoint: str) -> None:
    own = Path("pano-1-pair-1.png")
    own.write_bytes(before := Path("pano.png").read_bytes())
    refused = views(endpoint, "pano.png", str(own), "-o", ".", *SMALL, "--overwrite")
    assert (refused.exit_code, own.read_bytes()) == (2, before)
    assert "is one of the files that this run reads" in refused.output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pano.png", "--scale", "3"], 2, "--scale is 3; it must be 1, 2 or 4"),
        (["pano.png", "--views", "10000"], 2, "--views is 10000; it must be from 0 to 100"),
        (["pano.png", "--min-score", "nan"], 2, "--min-score is nan; it must be from 0 to 1"),
        (["pano.png", "--interval", "9"], 2, "--interval is 9; it must be from 1 to 8"),
        (["pano.png", "--seed", "-1"], 2, "--seed is -1; it must be from 0 to 2**64 - 1"),
        (["pano.png", "--size", "0x5"], 2, "--size is 0; it must be from 1 to 4,096 pixels"),
        (["pano.png", "--size", "big"], 2, "--size is 'big'; it is WIDTHxHEIGHT in pixels"),
        (["none.png"], 2, "none.png cannot be read: No such file or directory"),
        (["pano.png", "pano.png", "pano.png"], 2, "there are 3 panoramas; name one or two"),
        ([], 2, "there are 0 panoramas; name one or two"),
        (["square.png"], 1, "square.png is 8 x 8 pixels, a ratio of 1:1"),
        (["text.png"], 1, "text.png"),
        (["pano.png", "--min-score", "0.95"], 3, "0 of 8 intervals kept"),
    ],
)
def test_what_is_wrong_is_said_in_the_command_s_words(endpoint: str, words: list[str], code: int, said: str) -> None:
    Path("square.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    Path("text.png").write_bytes(b"no picture")
    done = views(endpoint, *words)
    assert (done.exit_code, said in " ".join(done.output.split())) == (code, True), done.output
    if code < 3:
        assert not list(Path().glob("out/*"))


def test_a_view_that_fails_is_told_and_the_others_are_written(endpoint: str, script: Script) -> None:
    from tensorhop.v1 import fault_pb2

    script.fails["upscale"] = fault_pb2.Fault(code=fault_pb2.CODE_INTERNAL, message="it broke", service="upscale")
    done = views(endpoint, "pano.png", *SMALL)
    assert done.exit_code == 1
    assert "upscale failed: it broke (INTERNAL)" in done.output
    report = json.loads(Path("out/pano-1.json").read_text())
    assert report["status"] == "failed"
    assert "pano-1-view-1-02-x2.png" in report["files"]


def test_a_sheet_has_rows_of_different_lengths() -> None:
    one = np.zeros((320, 160, 3), np.uint8)
    sheet = draw_sheet([[one], [], [one, one, one]])
    assert sheet.shape == (2 * (HEIGHT + GAP) + GAP, 3 * (80 + GAP) + GAP, 3)
    assert (sheet[:GAP] == 255).all()

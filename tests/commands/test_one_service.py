"""`tensorhop upscale` and `tensorhop quality`: a list of pictures through one service."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tensorhop.orchestrator.cli import app
from tensorhop.rpc.server import Server
from tensorhop.settings import use_settings
from tensorhop.values.images import decode_image
from tensorhop.values.images.png import encode_png

CAT = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two pictures and a text."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(CAT, "cat.jpg")
    Path("small.png").write_bytes(encode_png(np.full((20, 40, 3), 90, np.uint8)))
    Path("text.jpg").write_text("no picture")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "500"}).invoke(app, words)


def rows(done: Result) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_bad_picture_fails_no_other(here: Path, servers: dict[str, Server]) -> None:
    words = ["cat.jpg", "text.jpg", "none.jpg", "small.png", "--endpoint"]
    done = run("upscale", *words, servers["upscale"].address)
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "text.jpg failed: text.jpg is not an image file" in said
    assert "none.jpg failed: " in said
    assert {path.name for path in Path("out").iterdir()} == {"cat-x2.png", "small-x2.png"}
    assert decode_image(Path("out/small-x2.png").read_bytes()).shape == (40, 80, 3)
    scored = run("quality", *words, servers["quality"].address, "--json")
    assert scored.exit_code == 1
    assert [row["image"] for row in rows(scored)] == ["cat.jpg", "text.jpg", "none.jpg", "small.png"]
    assert 0.5 < rows(scored)[0]["score"] <= 1
    assert [row.get("event") for row in rows(scored)] == [None, "error", "error", None]


def test_pairs_have_scores_of_their_halves(here: Path, servers: dict[str, Server]) -> None:
    (row,) = rows(run("quality", "small.png", "--pairs", "--json", "--endpoint", servers["quality"].address))
    assert {"left", "right"} <= row["scores"].keys()


def test_without_an_endpoint_the_service_starts_here(here: Path) -> None:
    done = run(
        "upscale", "small.png", "-o", "large", "--scale", "4", "--encoding", "jpeg", "--align", "adain", "--json"
    )
    assert done.exit_code == 0, done.output
    assert rows(done) == [{"image": "small.png", "file": "large/small-x4.jpg", "width": 160, "height": 80}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name an IMAGE or a directory"),
        (["small.png", "--scale", "3"], "small.png failed: scale is 3; it must be 2 or 4"),
        (["small.png", "sub/small.png"], "would both have a file 'small-x2.png'"),
        (["old.png"], "out/old-x2.png is there"),
        (["old.png", "out/old-x2.png", "--overwrite"], "out/old-x2.png is one of the files that this run reads"),
    ],
)
def test_wrong_use(here: Path, servers: dict[str, Server], words: list[str], said: str) -> None:
    for path in (Path("sub/small.png"), Path("old.png"), Path("out/old-x2.png")):
        path.parent.mkdir(exist_ok=True)
        shutil.copy("small.png", path)
    done = run("upscale", *words, "--endpoint", servers["upscale"].address)
    assert (done.exit_code, said in " ".join(done.output.split())) == (2, True), done.output


def test_where_nothing_answers(here: Path) -> None:
    done = run("quality", "small.png", "--endpoint", "unix:none")
    assert done.exit_code == 4
    assert "nothing answers at unix:none" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quality", "--model", "nonsense"], "--model is 'nonsense', and there is no such folder here"),
        (
            ["quality", "--model", "qwen3-vl-4b"],
            "is a model of describe, not of quality; quality's is qwen3-vl-4b-quality",
        ),
        (["quality", "--device", "cuda"], "--device is cuda, but the embedded model runs on the CPU"),
        (["quality", "--quality-prompt", "none.txt"], "none.txt, which is no file; name a text file"),
        (["quality", "--quality-scale", "10"], "--quality-scale is given without --quality-prompt"),
        (["quality", "--quality-prompt", "text.jpg"], "quality: --quality-prompt is given, but the embedded model of"),
        (["quality", "--model", "owner/name", "--endpoint", "localhost:1"], "--model is for services that start here"),
        (["upscale", "--model", "qwen3-vl-4b-quality"], "is a model of quality, not of upscale"),
        (["upscale", "--model", "swin2sr-x2", "--dtype", "nf4"], "--dtype is nf4"),
        (["views", "--model", "segment=birefnet"], "with STEP one of describe, upscale, quality"),
        (["views", "--model", "upscale=nonsense"], "upscale: --model is 'nonsense'"),
        (["views", "--model", "upscale=owner/name", "--endpoint", "localhost:1"], "is for services that start here"),
        (["run", "--model", "quality=owner/name"], "with STEP one of describe, detect, segment, postprocess"),
    ],
)
def test_models_are_checked_before_anything_starts(here: Path, words: list[str], said: str) -> None:
    try:
        done = run(*words[:1], "small.png", *words[1:])
    finally:
        use_settings(None)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())

"""The options of `tensorhop run`: what is given wins over the preset, and what contradicts itself is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.photo_request import Destination, PhotoOptions, photo_request
from tensorhop.values.finish_options import Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output

SHOP = FINISH_PRESETS["marketplace"]


def finish(preset: str | None, **given: Any) -> Finish:
    return photo_request(PhotoOptions(preset=preset, **given), Destination(Path("out"))).request["finish"]


def output(preset: str | None, encoding: str | None, file: str, template: str | None, **given: Any) -> Output:
    """What is made of --format, of --out if it is one file, of --name, and of other options."""
    place = Destination(Path(file or "out") if file != "-" else None, file != "", template)
    return photo_request(PhotoOptions(preset=preset, format=encoding, **given), place).request["output"]


def test_nothing_given_is_the_default() -> None:
    assert finish(None, center=None, fill=None, shadow=None) == Finish()
    assert output(None, None, "", None) == Output()


def test_a_preset_and_what_is_given_beside_it() -> None:
    assert finish("marketplace", center=None) == SHOP["finish"]
    assert finish("marketplace", fill=0.5, shadow="contact") == replace(SHOP["finish"], fill=0.5, shadow="contact")
    assert output("marketplace", None, "", None) == SHOP["output"]
    assert output("marketplace", None, "", None, quality=70, background="black") == Output("jpeg", 70, "black")
    assert output("marketplace", "png", "", None) == Output("png", None, "white")
    assert output("marketplace", None, "a.webp", None) == Output("webp", None, "white")


@pytest.mark.parametrize(
    ("given", "file", "template", "encoding"),
    [
        (None, "a.JPEG", None, "jpeg"),
        (None, "dir.png/a.jpg", None, "jpeg"),
        ("webp", "a.webp", None, "webp"),
        ("webp", "-", None, "webp"),
        ("webp", "", None, "webp"),
        (None, "-", None, "png"),
        (None, "", "{stem}-{index}.webp", "webp"),
        (None, "a.jpg", "{stem}-{index}.webp", "jpeg"),
    ],
)
def test_the_suffix_chooses_the_format(given: str | None, file: str, template: str | None, encoding: str) -> None:
    assert output(None, given, file, template).encoding == encoding


@pytest.mark.parametrize(
    ("given", "file", "template", "says"),
    [
        ("png", "a.jpg", None, "--out a.jpg is a file of jpeg, and --format is png"),
        ("png", "", "{stem}-{index}.webp", "--name"),
        (None, "a.tif", None, ".png, .webp, .jpg, .jpeg"),
    ],
)
def test_a_contradiction_is_wrong_use(given: str | None, file: str, template: str | None, says: str) -> None:
    with pytest.raises(WrongUse) as caught:
        output(None, given, file, template)
    assert says in str(caught.value)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"finish\.fill is 2"):
        finish(None, fill=2.0)
    with pytest.raises(WrongUse, match="--canvas and --max-scale would have no effect with --no-center"):
        finish(None, center=False, canvas="5x5", max_scale=2.0)
    assert finish("marketplace", center=False).center is False


def test_canvas() -> None:
    assert finish(None, canvas=None).canvas == Finish().canvas
    assert finish(None, canvas="1200x800").canvas == finish(None, canvas="1200X800").canvas == Size(1200, 800)
    for text in ("1200", "1200x", "axb", "1x2x3", "1.5x2", ""):
        with pytest.raises(WrongUse, match="--canvas"):
            finish(None, canvas=text)


def test_the_same_options_have_the_same_facts() -> None:
    """By which --resume knows them again: a default said aloud, a thing of no effect, and the summaries of before."""
    place = Destination(Path("out"))
    silent = photo_request(PhotoOptions(), place).facts()
    aloud = PhotoOptions(max_objects=4, merge=False, look="central_object", center=True, ordered=True, cache=False)
    assert photo_request(aloud, place).facts() == silent
    assert photo_request(PhotoOptions(score_threshold=0.5), place).facts() == silent | {"score_threshold": 0.5}
    assert silent.keys() == {
        "phrases", "boxes", "masks", "max_objects", "merge", "describe", "finish", "output", "return_masks",
        "return_layers", "name", "overlay", "save_steps",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "gif"],
        ["--format", "png", "-o", "cut.jpg"],
        ["--quality", "50"],
        ["--quality", "0", "--format", "jpeg"],
        ["--background", "whitish"],
        ["--canvas", "0x100"],
        ["--canvas", "100000x100"],
        ["--fill", "nan"],
        ["--max-scale", "0.5"],
        ["--shadow", "long"],
        ["--shadow-length", "-1"],
        ["--shadow-softness", "1"],
        ["--shadow-opacity", "1.1"],
        ["--rot", "inf"],
        ["--preset", "none"],
        ["--score-threshold", "1.5"],
        ["--iou-threshold", "nan"],
        ["--max-new-tokens", "0"],
        ["--num-beams", "9"],
        ["--look", "around"],
        ["--no-center", "--fill", "0.5"],
    ],
)
def test_wrong_use_is_exit_code_2_before_any_work(arguments: list[str]) -> None:
    # Port 9 answers nothing: what got as far as the pipeline would be exit code 4.
    done = CliRunner().invoke(app, ["run", "photo.jpg", "--endpoint", "127.0.0.1:9", *arguments])
    assert done.exit_code == 2, done.output
    assert arguments[0].strip("-").split("-")[-1] in done.output + done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name an IMAGE"),
        (["--manifest", "none.jsonl"], "none.jsonl"),
        (["--manifest", "m.jsonl", "photo.jpg"], "photo.jpg cannot be given beside it"),
        (["--manifest", "m.jsonl", "--box", "0,0,9,9"], "--box has no place"),
        (["--manifest", "m.jsonl", "--recursive"], "--recursive has no place"),
        (["--manifest", "m.jsonl", "-o", "cut.png"], "--manifest needs a directory"),
        (["photo.jpg", "--resume", "-o", "cut.png"], "--resume needs a directory"),
        (["photo.jpg", "--jobs", "0"], "--jobs"),
        (["photo.jpg", "-o", "m.jsonl/out"], "m.jsonl is not a directory"),
        (["--manifest", "m.jsonl", "-o", "m.jsonl/out"], "m.jsonl is not a directory"),
    ],
)
def test_wrong_use_of_a_run(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.jsonl").touch()
    done = CliRunner().invoke(app, ["run", *arguments, "--endpoint", "127.0.0.1:9"], env={"COLUMNS": "300"})
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]

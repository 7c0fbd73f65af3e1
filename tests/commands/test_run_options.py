"""The options of `tensorhop run`: what is given wins over the preset, and what contradicts itself is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.values.finish_options import Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import Output

SHOP = FINISH_PRESETS["marketplace"]


def test_nothing_given_is_the_default() -> None:
    assert run_options.finish(None, center=None, fill=None, shadow=None) == Finish()
    assert run_options.output(None, None, "", None, None, None) == Output()


def test_a_preset_and_what_is_given_beside_it() -> None:
    assert run_options.finish("marketplace", center=None) == SHOP["finish"]
    assert run_options.finish("marketplace", fill=0.5, shadow="contact") == replace(
        SHOP["finish"], fill=0.5, shadow="contact"
    )
    assert run_options.output("marketplace", None, "", None, None, None) == SHOP["output"]
    assert run_options.output("marketplace", None, "", None, 70, "black") == Output("jpeg", 70, "black")
    assert run_options.output("marketplace", "png", "", None, None, None) == Output("png", None, "white")
    assert run_options.output("marketplace", None, "a.webp", None, None, None) == Output("webp", None, "white")


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
    assert run_options.output(None, given, file, template, None, None).encoding == encoding


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
        run_options.output(None, given, file, template, None, None)
    assert says in str(caught.value)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"finish\.fill is 2"):
        run_options.finish(None, fill=2.0)
    with pytest.raises(WrongUse, match="--canvas and --max-scale would have no effect with --no-center"):
        run_options.finish(None, center=False, canvas=Size(5, 5), max_scale=2.0)
    assert run_options.finish("marketplace", center=False).center is False


def test_canvas() -> None:
    assert run_options.parse_canvas(None) is None
    assert run_options.parse_canvas("1200x800") == run_options.parse_canvas("1200X800") == Size(1200, 800)
    for text in ("1200", "1200x", "axb", "1x2x3", "1.5x2", ""):
        with pytest.raises(WrongUse, match="--canvas"):
            run_options.parse_canvas(text)


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

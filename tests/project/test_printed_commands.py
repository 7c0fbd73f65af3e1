"""Commands as they are printed, in every page and message: they work in a clone, and end badly when they fail."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")]
SOURCES = [file for name in ("tensorhop", "orchestrator", "services", "web") for file in (ROOT / name).rglob("*.py")]
BLOCK = re.compile(r"```sh\n(.*?)```", re.S)


def commands(page: Path, word: str) -> list[str]:
    """The commands of a page that begin with a word, each as one line."""
    lines = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if re.search(rf"(^|\| ?|\s){word}\s", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_http_error_is_not_written_as_a_picture(page: Path) -> None:
    for command in commands(page, "curl"):
        if re.search(r"\s(-o|--output|>) ?\S", command):
            assert re.search(r"\s(--fail|-[sSN]*f[sSN]*)\s", command), command


@pytest.mark.parametrize("page", ["README.md", "docs/http.md"])
def test_results_are_written_into_out(page: str) -> None:
    """A newcomer's clone stays as it was; out/ is ignored by git."""
    written = [
        place
        for command in (*commands(ROOT / page, "curl"), *commands(ROOT / page, "tensorhop run"))
        for place in re.findall(r"\s(?:-o|--out|>) ?(\S+)", command)
    ]
    assert written
    assert {place.partition("/")[0] for place in written} <= {"out", "-"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pip_is_that_of_an_environment(page: Path) -> None:
    """By its path, or in a block that activates it; and it is never asked for our name, which no index has."""
    for block in BLOCK.findall(page.read_text()):
        for line in block.splitlines():
            if "pip install" in line:
                assert re.search(r"\.venv\S*/bin/(python -m )?pip|bin/activate", block), line
                assert not re.search(r"install .*tensorhop\b(?!/)", line), line


def test_no_message_has_a_pip_of_whatever_environment() -> None:
    for file in SOURCES:
        for line in file.read_text().splitlines():
            assert not re.search(r"(?<!-m )pip install ['a-z-]", line), f"{file}: {line}; extras.pip_install says it"

"""Every block of every page works as printed, or says what it needs; tests/doc_reader.py tells how blocks are run."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doc_pages import LANGUAGES, NEEDS, PAGES, Block, blocks, named
from doc_reader import Reader, clone

import tensorhop

COMMANDS = "buf|curl|docker|grpcurl|make|node|npm|pip|python|python3|tensorhop"
IMPORT = r"^from (tensorhop[\w.]*) import (\([^)]*\)|.+)$"
HOST = re.compile(r"\b[a-z][\w-]*(?:\.[\w-]+)*\.(?:app|com|dev|example|internal|io|lan|local|net|org)\b")


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    reader.close()


def marked(page: Path) -> Any:
    return pytest.param(page, marks=[] if named(page) == "README.md" else pytest.mark.all_pages)


@pytest.mark.xdist_group("pages")  # one `tensorhop up` for all of them
@pytest.mark.parametrize("page", [marked(page) for page in PAGES if blocks(page)], ids=named)
def test_every_block_runs(page: Path, reader: Reader, tmp_path: Path) -> None:
    reader.read(blocks(page), clone(tmp_path))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_are_marked(page: Path) -> None:
    text = page.read_text()
    found = blocks(page)
    assert len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)) / 2
    for block in found:
        assert block.language in LANGUAGES, f"{block}: language {block.language!r}"
        assert block.needs in {"", *NEEDS}, f"{block}: needs {block.needs!r}"
    assert len(re.findall(r"^<!-- needs: ", text, re.MULTILINE)) == sum(bool(block.needs) for block in found), (
        "a mark stands before its block"
    )


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_can_be_typed(page: Path) -> None:
    """What a reader has to replace is in capitals (HOST, FILE), and not left out or given a name that looks real."""
    for block in blocks(page):
        if block.language == "sh":
            code = re.sub(r"(^|\s)#.*", "", block.text)
            assert not re.search(r"\.\.\.|…|<[a-z-]+>", code), f"{block}: something is left out"
        if block.language in ("sh", "python"):
            assert not HOST.search(block.text), f"{block}: {HOST.search(block.text)}"
    for span in re.findall(rf"`((?:{COMMANDS}) [^`]*)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        assert "..." not in span, f"{named(page)}: `{span}`"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_data_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            read_json(block)


def read_json(block: Block) -> None:
    """One document, or one a line."""
    try:
        json.loads(block.text)
    except ValueError:
        for line in block.text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_programs_import_public_names_alone(page: Path) -> None:
    """Files of this repository, such as those of a service that is added, import each other by their full names."""
    for block in blocks(page):
        if block.language == "python" and not block.path.startswith(("services/", "tensorhop/")):
            for module, names in re.findall(IMPORT, block.text, re.MULTILINE):
                assert module == "tensorhop" or module.startswith("tensorhop.v1"), f"{block}: from {module}"
                if module == "tensorhop":
                    assert set(re.findall(r"\w+", names)) <= set(tensorhop.__all__), block


def test_every_need_is_used() -> None:
    assert {block.needs for page in PAGES for block in blocks(page)} - {""} == NEEDS.keys()

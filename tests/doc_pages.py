"""The pages of the documentation, and what is in their code blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for pattern in ("*.md", "docs/*.md", "examples/*/*.md") for path in ROOT.glob(pattern))

# What a block may need that the machine of `make test` lacks: <!-- needs: docker --> before it says so, and this says
# what runs it instead.
NEEDS = {
    "docker": "make compose-verify builds and runs the same stack",
    "gpu": "nothing: there is no GPU where the tests run",
    "groundingdino": "make test-groundingdino makes this environment, and serves such a checkpoint",
    "kubernetes": "make test-kubernetes checks the same objects, and make kubernetes-verify runs their containers",
    "minutes": "nothing: it measures",
    "models": "make test-models: tests/models/test_model_pages.py, with tiny checkpoints",
    "network": "nothing: it downloads",
    "node": "make test-node runs the program",
    "package": "tests/project/test_your_own.py installs the package, and then reads its page",
    "oip": "make test-oip: tests/peers/test_tritonclient.py makes the same calls",
}
# "" is output, a drawing, or a synopsis.
LANGUAGES = {"", "json", "proto", "python", "sh", "toml", "yaml"}

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- needs: (?P<needs>.+?) -->\n\s*)?```(?P<language>.*)\n(?P<text>(?:.*\n)*?) *```$",
    re.MULTILINE,
)
# The paragraph before a block that is a file begins with its path, or ends with it; and with a colon.
_FILE = re.compile(r"^`(?P<first>[\w./-]+\.\w+)`.*:$|`(?P<last>[\w./-]+\.\w+)`:$", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    section: int  # the number of headings before it
    language: str
    needs: str  # one of NEEDS, or ""
    path: str  # the file that the block is the content of, or ""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        before = text[: match.start()]
        fenced = _BLOCK.sub("", before)  # a comment in a block is no heading
        paragraph = before.rstrip("\n").rpartition("\n\n")[2]
        file = _FILE.search(paragraph)
        found.append(
            Block(
                page,
                text.count("\n", 0, match.start("language")) + 1,
                len(re.findall(r"^#+ ", fenced, re.MULTILINE)),
                match["language"],
                match["needs"] or "",
                (file["first"] or file["last"]) if file else "",
                match["text"],
            )
        )
    return found


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()

"""Tables for terminals of any width, in which nothing is cut: what does not fit beside a row stands below it."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

GAP = 2  # columns between two cells
INDENT = 4  # of what stands below its row
UNLIMITED = 10_000  # characters a line, where nobody looks at a terminal


def open_console() -> Console:
    """Standard output, as wide as the terminal; in a file or a pipe, where programs read lines, without a limit."""
    console = Console()
    return console if console.is_terminal else Console(width=UNLIMITED)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    """A table; while it is too wide, its widest column after the first one moves below the rows.

    Args:
        titles: of the columns.
        rows: a cell for each title, in the markup of rich, of one line or more; "" for what is not known.
        width: characters for a line.
    """
    cells = [[[Text.from_markup(line) for line in cell.split("\n")] for cell in row] for row in rows]
    widths = [
        max(cell_len(title), *(line.cell_len for row in cells for line in row[column]), 0)
        for column, title in enumerate(titles)
    ]
    beside = list(range(len(titles)))
    while len(beside) > 1 and _width(widths, beside) > width:
        beside.remove(max(beside[1:], key=lambda column: widths[column]))
    parts: list[RenderableType] = [
        _line([Text(titles[column], style="bold") for column in beside], widths, beside),
        Text(" " + "─" * (min(width, _width(widths, beside)) - 1), style="dim"),
    ]
    for row in cells:
        for number in range(max(len(row[column]) for column in beside)):
            lines = [row[column][number] if number < len(row[column]) else Text() for column in beside]
            parts.append(_line(lines, widths, beside))
        for column, title in enumerate(titles):
            if column not in beside and any(row[column]):
                parts.append(Padding(Text.assemble(f"{title}: ", Text(", ").join(row[column])), (0, 0, 0, INDENT)))
    return Group(*parts)


def _width(widths: Sequence[int], beside: Sequence[int]) -> int:
    return 1 + sum(widths[column] for column in beside) + GAP * (len(beside) - 1)


def _line(texts: Sequence[Text], widths: Sequence[int], beside: Sequence[int]) -> Text:
    """One line of a row; nothing but a terminal narrower than one cell breaks it."""
    line = Text(" ")
    for text, column in zip(texts, beside, strict=True):
        line.append_text(text)
        line.append(" " * (widths[column] - text.cell_len + GAP))
    line.rstrip()
    return line

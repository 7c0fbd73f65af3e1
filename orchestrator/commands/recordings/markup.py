"""Parts of an HTML page, in which nothing that a caller sent is taken for markup."""

from html import escape
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()

    def __add__(self, other: str) -> "Markup":
        return Markup(str(self) + html(other))


def html(value: Any) -> str:
    """A value as HTML: text is escaped."""
    return str(value) if isinstance(value, Markup) else escape(str(value))


def tag(name: str, content: Any = None, kind: str = "", /, **attributes: Any) -> Markup:
    """An element.

    Args:
        content: text, Markup, or a list of them; an element without any, such as img, has no end.
        kind: its class.
    """
    given = attributes | ({"class": kind} if kind else {})
    words = "".join(f' {key.replace("_", "-")}="{escape(str(value))}"' for key, value in given.items())
    if content is None:
        return Markup(f"<{name}{words}>")
    inner = "".join(map(html, content)) if isinstance(content, list | tuple) else html(content)
    return Markup(f"<{name}{words}>{inner}</{name}>")


def table(titles: list[str], rows: list[list[Any]]) -> Markup:
    """A table; a cell that is a number stands on the right."""
    head = tag("tr", [tag("th", title) for title in titles])
    body = [tag("tr", [tag("td", cell, "number" if is_number(cell) else "") for cell in row]) for row in rows]
    return tag("table", [tag("thead", head), tag("tbody", body)])


def is_number(cell: Any) -> bool:
    return isinstance(cell, str) and cell[:1].isdigit() and cell.replace(".", "").replace(" s", "").isdigit()

"""Parameters of a route, read from forms, queries and JSON by its table of options."""

from collections.abc import Iterable, Mapping
from typing import Any

from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import BOOLEAN, SECONDS, TEXT
from tensorhop.options.table import Option

# Of every route.
COMMON = [
    Option("request_id", "request_id", TEXT, "Name the request; the header X-Request-Id is another way."),
    Option("timeout", "", SECONDS, "Limit the whole request; the header X-Request-Timeout is another way.", 600),
]
# Of the chains.
RECORD = Option("record", "record", BOOLEAN, "Record this request, if the chain may record (--record).", False)
TIMEOUT_SECONDS = 600.0  # if the caller says nothing


def read_parameters(
    table: Mapping[str, Option],
    pairs: Iterable[tuple[str, str]],
    members: Mapping[str, Any] | None = None,
    others: Iterable[str] = (),
) -> dict[str, Any]:
    """Values by option, from texts and from JSON members. An empty text leaves its parameter out.

    Args:
        table: the options, by their names over HTTP.
        others: what the route takes beside them, such as pictures; an error names them too.

    Raises:
        InvalidInput: an unknown parameter, one given twice that is no list, or a value of another kind.
    """
    found: dict[str, Any] = {}

    def add(name: str, given: Any, text: bool) -> None:
        option = table.get(name)
        if option is None:
            raise InvalidInput(name[:100] or "parameter", f"is no parameter; known are {', '.join([*others, *table])}")
        kind = option.kind
        if option.name in found and not kind.many:
            raise InvalidInput(name, "is given more than once")
        try:
            value = kind.from_text(given.strip()) if text else kind.from_json(given)
        except (ValueError, OverflowError, TypeError) as error:
            raise InvalidInput(name, f"is {str(given)[:80]!r}; it must be {kind.expects}") from error
        found[option.name] = found.get(option.name, []) + value if kind.many else value

    for name, text in pairs:
        if text or name not in table:
            add(name, text, text=True)
    for name, value in (members or {}).items():
        add(name, value, text=False)
    return found

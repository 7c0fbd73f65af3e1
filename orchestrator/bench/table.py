"""What a benchmark prints: rows of numbers for programs, or a table for people."""

import json
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

WIDE = 1000
Row = dict[str, Any]
Times = Mapping[str, Mapping[str, list[float]]]  # seconds, by payload and method


def rows_of(times: Times, units: Iterable[str]) -> list[Row]:
    """The median of each payload and method, and its ratio to that of each method in `units`."""
    rows = []
    for payload, methods in times.items():
        medians = {method: statistics.median(seconds) * 1000 for method, seconds in methods.items()}
        for method, median in medians.items():
            row: Row = {"payload": payload, "method": method, "median_ms": round(median, 3)}
            for unit in units:
                row[f"to_{unit}"] = round(median / medians[unit], 4) if unit in medians else None
            rows.append(row)
    return rows


def show(rows: Iterable[Row], title: str, as_json: bool) -> None:
    """Print rows, one JSON object a line or as a table with a line between payloads."""
    rows = list(rows)
    if as_json:
        for row in rows:
            print(json.dumps(row), flush=True)
        return
    table = Table(title=title, title_justify="left")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(name, justify="left" if isinstance(rows[0].get(name), str) else "right")
    for index, row in enumerate(rows):
        last = index + 1 < len(rows) and rows[index + 1].get("payload") != row.get("payload")
        table.add_row(*(text(row.get(name)) for name in names), end_section=last)
    width = Console(width=WIDE).measure(table).maximum  # no number is cut short, however narrow the terminal
    Console(width=width).print(table)


def text(value: Any) -> str:
    """A number with three digits that count."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

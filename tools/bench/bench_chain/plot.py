"""A page of line charts as an SVG file, both axes logarithmic: a slope of 1 is a cost in proportion."""

import math
from collections.abc import Sequence
from html import escape

from tensorhop.orchestrator.bench.table import Row, text

WIDTH, HEIGHT = 300, 220  # of one chart's area
LEFT, TOP, GAP, BOTTOM = 60, 40, 80, 50
COLOURS = {"photo_ms": "#1b6ca8", "cpu_ms": "#3a8f4d", "peak_mib": "#c05a1a"}
NAMES = {"photo_ms": "ms a photo", "cpu_ms": "CPU ms a photo", "peak_mib": "MiB, all servers, peak"}


def growth_svg(rows: Sequence[Row]) -> str:
    """A chart for each kind of growth; the y axis is of all the same, so that they can be compared."""
    kinds = list(dict.fromkeys(row["payload"] for row in rows))
    values = [max(1, row[name]) for row in rows for name in COLOURS]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    width = LEFT + len(kinds) * (WIDTH + GAP) - GAP + 20
    height = TOP + HEIGHT + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (name, colour) in enumerate(COLOURS.items()):
        parts.append(f'<text x="{LEFT + 170 * number}" y="18" fill="{colour}">{escape(NAMES[name])}</text>')
    for index, kind in enumerate(kinds):
        points = [row for row in rows if row["payload"] == kind]
        parts += chart(kind, points, LEFT + index * (WIDTH + GAP), low, high)
    return "\n".join([*parts, "</svg>", ""])


def chart(kind: str, points: Sequence[Row], left: float, low: int, high: int) -> list[str]:
    """Axes, ticks and a line for each of COLOURS."""
    first, last = math.log10(points[0]["point"]), math.log10(points[-1]["point"])

    def x(value: float) -> float:
        return left + WIDTH * ((math.log10(value) - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - (math.log10(max(1, value)) - low) / (high - low))

    parts = []
    for power in range(low, high + 1):
        at = y(10**power)
        parts.append(f'<line x1="{left}" y1="{at:.1f}" x2="{left + WIDTH}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for row in points:
        at = x(row["point"])
        parts.append(f'<text x="{at:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{text(row["point"])}</text>')
    for name, colour in COLOURS.items():
        line = " ".join(f"{x(row['point']):.1f},{y(row[name]):.1f}" for row in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(row["point"]):.1f}" cy="{y(row[name]):.1f}" r="3" fill="{colour}"/>' for row in points
        ]
    parts.append(f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">{escape(kind)}</text>')
    return parts

"""Numbers with a unit, as people write them in settings and options: 512MiB, 1g, 30s, 2m."""

import math
import re

POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
SIZE_EXAMPLES = "a number of bytes, such as 1073741824, 512MiB or 1g"
DURATION_EXAMPLES = "a number with ms, s, m or h behind it, like 30s"


def read_size(text: str) -> int:
    """Bytes. K, M, G, T and KiB ... TiB are powers of 1024, as for container engines; kB, MB, GB, TB are of 1000.

    Raises:
        ValueError: it is no size, or no whole number of bytes.
    """
    number, unit = _split(text)
    found = re.fullmatch(r"([kmgt]?)(|b|i|ib)", unit.lower())
    if found is None or (found[2].startswith("i") and not found[1]):
        raise ValueError(f"it must be {SIZE_EXAMPLES}")
    size = number * (1000 if found[1] and found[2] == "b" else 1024) ** POWERS[found[1]]
    if size != int(size):
        raise ValueError(f"it must be {SIZE_EXAMPLES}")
    return int(size)


def read_duration(text: str, unit: str = "s") -> float:
    """Seconds, of "500ms", "30s", "2m", "1h", or a number without a unit.

    Args:
        unit: of a number without one.

    Raises:
        ValueError: it is no duration, or negative.
    """
    number, given = _split(text)
    if (given or unit).lower() not in SECONDS or number < 0:
        raise ValueError(f"it must be {DURATION_EXAMPLES}")
    return float(number) * SECONDS[(given or unit).lower()]


def _split(text: str) -> tuple[int | float, str]:
    found = NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError("it must be a number")
    number = float(found[1]) if "." in found[1] else int(found[1])
    if not math.isfinite(number):
        raise ValueError("it must be a finite number")
    return number, found[2]

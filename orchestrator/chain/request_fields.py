"""Fields that requests of every chain have."""

from typing import Any

from tensorhop.errors import InvalidInput


def read_count(request: Any, name: str, default: int, most: int, least: int = 1) -> int:
    """An optional number of a message. Raises InvalidInput: it is below `least` or above `most`."""
    if not request.HasField(name):
        return default
    value: int = getattr(request, name)
    if not least <= value <= most:
        raise InvalidInput(name, f"is {value}; it must be from {least} to {most}")
    return value

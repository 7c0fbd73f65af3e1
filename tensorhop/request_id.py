"""The name by which one request is known in every service and log."""

import uuid

LONGEST = 128  # characters


def usable(given: str) -> bool:
    """Whether a caller's id can be taken: not empty, not long, and fit to be printed and sent as metadata."""
    return 0 < len(given) <= LONGEST and given.isascii() and given.isprintable()


def new_id() -> str:
    """An id for a request to which the caller gave none."""
    return uuid.uuid4().hex[:12]

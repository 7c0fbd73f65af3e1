"""A request's id, the same in every service and log."""

import uuid

import grpc

LONGEST = 128  # characters


def usable(given: str) -> bool:
    """Whether a caller's id can be printed and sent as metadata: 1 to LONGEST printable ASCII characters."""
    return 0 < len(given) <= LONGEST and given.isascii() and given.isprintable()


def new_id() -> str:
    """An id for a request that came without one."""
    return uuid.uuid4().hex[:12]


REQUEST_ID = "x-request-id"  # metadata key that carries a request's id from service to service


def text_of(context: grpc.ServicerContext, key: str) -> str:
    """The first entry of the caller's metadata with this key; "" if there is none, or if it is no text."""
    for name, value in context.invocation_metadata():
        if name == key:
            return value if isinstance(value, str) else ""
    return ""

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


def metadata_of(context: grpc.ServicerContext) -> dict[str, str]:
    """The entries of the caller's metadata that are text."""
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}

"""Errors as application/problem+json (RFC 9457), with the names that gRPC has for them."""

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from tensorhop.client.call import is_own
from tensorhop.errors import code_name, fault_of, service_of
from tensorhop.v1 import fault_pb2 as pb

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STATUSES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


class Refused(Exception):
    """A request that HTTP itself refuses, with a status that says more than the code.

    Args:
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.fault = pb.Fault(code=f"CODE_{code}", message=message, retry_after=retry_after)
        self.fault.retryable = retry_after is not None


def members_of(
    fault: pb.Fault, request_id: str, status: int | None = None, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The problem that a fault is. `parameter` is the name under which its field is given over HTTP, if it has one.

    Args:
        names: these names, by field.
    """
    code = code_name(fault)
    status = status or STATUSES.get(code, 500)
    members: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase if status != 499 else "Client Closed Request",
        "status": status,
        "detail": fault.message,
        "code": code,
        "field": fault.field,
        "step": "" if is_own(fault) else service_of(fault),
        "retryable": fault.retryable,
        "request_id": request_id,
    }
    if name := (names or {}).get(fault.field.partition("[")[0]):
        members["parameter"] = name
    if fault.HasField("retry_after"):
        members["retry_after"] = fault.retry_after
    return members


def problem(error: Exception, request_id: str, names: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed as a whole. Takes what `members_of` does."""
    refused = error if isinstance(error, Refused) else None
    members = members_of(fault_in(error, request_id), request_id, refused.status if refused else None, names)
    return answer(members, refused.headers if refused else None)


def fault_in(error: Exception, request_id: str) -> pb.Fault:
    """The fault that an exception of ours is; a mistake of ours is logged."""
    if isinstance(error, Refused):
        return error.fault
    fault = fault_of(error)
    if fault.code == pb.CODE_INTERNAL and not service_of(fault):
        log.error("request %s failed", request_id, exc_info=error)
    return fault


def fault_members(fault: pb.Fault) -> dict[str, Any]:
    """A fault that is no answer of its own, such as of one item, in JSON."""
    return {
        "step": service_of(fault),
        "code": code_name(fault),
        "field": fault.field,
        "message": fault.message,
        "retryable": fault.retryable,
    }


def answer(members: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    headers = dict(headers or {})
    if "retry_after" in members:
        headers["Retry-After"] = str(max(1, math.ceil(members["retry_after"])))
    return Response(json.dumps(members), members["status"], headers, MEDIA_TYPE)

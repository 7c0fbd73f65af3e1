"""Errors as the Connect protocol tells them: the code in lower case, the sentence, and the Fault as a detail."""

import logging

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from protobuf.wkt import Any

from tensorhop.errors import code_name, fault_of, service_of
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.web.problem import STATUSES, Refused

log = logging.getLogger(__name__)

NAMES = {code: "canceled" if code == "CANCELLED" else code.lower() for code in STATUSES}  # Connect's, by gRPC's
STATUS_OF = {NAMES[code]: status for code, status in STATUSES.items()}  # Connect has the same ones


def fault_in(error: Exception, request_id: str) -> pb.Fault:
    """The fault that an exception of ours is; a mistake of ours is logged."""
    if isinstance(error, Refused):
        return error.fault
    fault = fault_of(error)
    if fault.code == pb.CODE_INTERNAL and not service_of(fault):
        log.error("request %s failed", request_id, exc_info=error)
    return fault


def connect_error(fault: pb.Fault) -> ConnectError:
    """The library's exception for a fault."""
    detail = Any(type_url=f"type.googleapis.com/{fault.DESCRIPTOR.full_name}", value=fault.SerializeToString())
    return ConnectError(Code(NAMES.get(code_name(fault), "unknown")), fault.message, [ErrorDetail(detail)])

"""Errors as the Connect protocol tells them: the code in lower case, the sentence, and the Fault as a detail."""

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from protobuf.wkt import Any

from tensorhop.errors import code_name
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.web.problem import STATUSES

NAMES = {code: "canceled" if code == "CANCELLED" else code.lower() for code in STATUSES}  # Connect's, by gRPC's
STATUS_OF = {NAMES[code]: status for code, status in STATUSES.items()}  # Connect has the same ones


def connect_error(fault: pb.Fault) -> ConnectError:
    """The library's exception for a fault."""
    detail = Any(type_url=f"type.googleapis.com/{fault.DESCRIPTOR.full_name}", value=fault.SerializeToString())
    return ConnectError(Code(NAMES.get(code_name(fault), "unknown")), fault.message, [ErrorDetail(detail)])
